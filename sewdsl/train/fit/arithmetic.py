"""How a device computes while a network is trained or looked at: in TF32 or not, and in 16-bit floats where asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sewdsl.train.store.result import Precision


@contextmanager
def tf32_allowed(allowed: bool | None) -> Iterator[None]:  # noqa: FBT001 -- a setting of the recipe
    """Lets GPUs round the factors of convolutions and other products to TF32, or not, while something runs.

    Args:
        allowed: Whether they may; None: as torch has it.
    """
    convolutions, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = convolutions.allow_tf32, products.allow_tf32
    if allowed is not None:
        convolutions.allow_tf32 = products.allow_tf32 = allowed
    try:
        yield
    finally:
        convolutions.allow_tf32, products.allow_tf32 = before


def autocast(precision: Precision, device: str) -> torch.autocast:
    """Rounds to 16 bits where it is safe, as a training in this precision does; in ``32-true`` nothing.

    Args:
        device: Where what is computed lies: ``cpu``, ``cuda`` or ``mps``.
    """
    dtype = torch.float16 if precision == "16-mixed" else torch.bfloat16
    return torch.autocast(device, dtype, enabled=precision != "32-true", cache_enabled=False)
