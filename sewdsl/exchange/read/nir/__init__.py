"""Import of graphs of the Neuromorphic Intermediate Representation (NIR)."""

from __future__ import annotations

from sewdsl.exchange.read.nir.read_graph import NirReadOptions, read_graph

__all__ = ["NirReadOptions", "read_graph"]
