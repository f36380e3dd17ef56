"""Shipped networks, each compiled once for all pages."""

from __future__ import annotations

from functools import cache

from sewdsl.compiler import Compilation, read, shipped_networks


@cache
def read_shipped(name: str) -> Compilation:
    """Compile a shipped network."""
    return read(shipped_networks()[name])
