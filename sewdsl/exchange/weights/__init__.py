"""Conversion of weights from and to the keys of other libraries (see ``docs/exchange.md``)."""

from __future__ import annotations

from sewdsl.exchange.errors import WeightsError
from sewdsl.exchange.weights.convert import convert, detect_schemes, to_node_paths, to_scheme_keys
from sewdsl.exchange.weights.schemes import SCHEMES
from sewdsl.exchange.weights.take_weights import TakenWeights, take_weights
from sewdsl.exchange.weights.weights_file import SUFFIXES, WeightsFile, encode, read_weights

__all__ = [
    "SCHEMES",
    "SUFFIXES",
    "TakenWeights",
    "WeightsError",
    "WeightsFile",
    "convert",
    "detect_schemes",
    "encode",
    "read_weights",
    "take_weights",
    "to_node_paths",
    "to_scheme_keys",
]
