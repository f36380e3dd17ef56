"""Modules of torch as networks."""

from __future__ import annotations

from sewdsl.export.incoming.modules.reading import from_torch, read_module

__all__ = ["from_torch", "read_module"]
