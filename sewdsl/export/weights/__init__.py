"""Weights of other libraries for networks of ours, and the way back; see ``docs/exchange.md``."""

from __future__ import annotations

from sewdsl.export.weights.conversion import convert, detect, fit, name
from sewdsl.export.weights.error import WeightsError
from sewdsl.export.weights.files import SUFFIXES, Found, encode, read
from sewdsl.export.weights.schemes import SCHEMES

__all__ = ["SCHEMES", "SUFFIXES", "Found", "WeightsError", "convert", "detect", "encode", "fit", "name", "read"]
