"""Graphs of the Neuromorphic Intermediate Representation (NIR) as networks."""

from __future__ import annotations

from sewdsl.export.incoming.nir.reading import Wanted, read

__all__ = ["Wanted", "read"]
