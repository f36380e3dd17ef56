"""Graphs of the Neuromorphic Intermediate Representation (NIR) as networks."""

from __future__ import annotations

from sewdsl.export.incoming.nir.reading import NirReadOptions, read_graph

__all__ = ["NirReadOptions", "read_graph"]
