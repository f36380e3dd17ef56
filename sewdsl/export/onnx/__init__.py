"""ONNX: a graph of standard operations, written from the network."""

from __future__ import annotations

from sewdsl.export.onnx.target import format_for_axis
from sewdsl.export.target import ExportFormat

target: ExportFormat = format_for_axis("Scanned")
