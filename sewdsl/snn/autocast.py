"""torch's autocast, also where a device has none: on ``meta``, whose tensors have shapes and no numbers."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def autocast_dtype(device: str) -> torch.dtype | None:
    """The dtype that autocast computes in on a device; None where it is not in force."""
    if device == "meta" or not torch.is_autocast_enabled(device):
        return None
    return torch.get_autocast_dtype(device)


def without_autocast(device: str) -> AbstractContextManager[object]:
    """Computes in the dtypes that are there."""
    return nullcontext() if device == "meta" else torch.autocast(device, enabled=False)
