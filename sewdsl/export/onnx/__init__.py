"""ONNX: a graph of standard operations, written from the network."""

from __future__ import annotations

from sewdsl.export.onnx.target import of
from sewdsl.export.target import Target

target: Target = of("Scanned")
