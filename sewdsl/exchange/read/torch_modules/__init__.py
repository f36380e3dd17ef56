"""Import of PyTorch modules."""

from __future__ import annotations

from sewdsl.exchange.read.torch_modules.read_module import from_torch, read_module

__all__ = ["from_torch", "read_module"]
