"""Weights of other libraries for networks of ours, and the way back; see ``docs/exchange.md``."""

from __future__ import annotations

from sewdsl.export.weights.conversion import convert, detect_schemes, to_node_paths, to_scheme_keys
from sewdsl.export.weights.error import WeightsError
from sewdsl.export.weights.files import SUFFIXES, WeightsFile, encode, read_weights
from sewdsl.export.weights.schemes import SCHEMES

__all__ = [
    "SCHEMES",
    "SUFFIXES",
    "WeightsError",
    "WeightsFile",
    "convert",
    "detect_schemes",
    "encode",
    "read_weights",
    "to_node_paths",
    "to_scheme_keys",
]
