"""ONNX without loops: the same, with the operations of neurons written out for each time-step."""

from __future__ import annotations

from sewdsl.export.onnx.target import format_for_axis
from sewdsl.export.target import ExportFormat

unrolled_target: ExportFormat = format_for_axis("Unrolled")
