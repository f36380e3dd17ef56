"""Autocast that also works on the device ``meta``, whose tensors have shapes but no data."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def autocast_dtype(device: str) -> torch.dtype | None:
    """Return the dtype that autocast computes in on a device, or None if autocast is disabled."""
    # PyTorch raises an error for autocast queries on "meta".
    if device == "meta" or not torch.is_autocast_enabled(device):
        return None
    return torch.get_autocast_dtype(device)


def without_autocast(device: str) -> AbstractContextManager[object]:
    """Disable autocast on a device within a context."""
    return nullcontext() if device == "meta" else torch.autocast(device, enabled=False)
