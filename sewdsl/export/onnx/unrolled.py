"""ONNX without loops: the same, with the operations of neurons written out for each time-step."""

from __future__ import annotations

from sewdsl.export.onnx.target import of
from sewdsl.export.target import Target

target: Target = of("Unrolled")
