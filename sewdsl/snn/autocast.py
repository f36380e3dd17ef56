"""Number formats: float32 for 16-bit tensors, and autocast that also works on ``meta``, the device without data."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def autocast_dtype(device: str) -> torch.dtype | None:
    """Return the dtype that autocast computes in on a device, or None if autocast is disabled."""
    # PyTorch raises an error for autocast queries on "meta".
    if device == "meta" or not torch.is_autocast_enabled(device):
        return None
    return torch.get_autocast_dtype(device)


def without_autocast(device: str) -> AbstractContextManager[object]:
    """Disable autocast on a device within a context."""
    return nullcontext() if device == "meta" else torch.autocast(device, enabled=False)


def widened(x: Tensor) -> Tensor:
    """Return a tensor in float32 or wider, the precision of states and of sums."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
