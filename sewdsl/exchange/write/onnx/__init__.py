"""ONNX: a graph of standard operations, with loops over time or unrolled.

The libraries that write and run such files are imported when they are needed; they need not be installed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from sewdsl.exchange.errors import MissingLibrary
from sewdsl.exchange.write.formats import ExportFormat

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.exchange.write.formats import Outputs
    from sewdsl.lower import SpikingNetwork

LOGITS = "logits"
"""Name of the readout in a file; ``NAME/logits`` of each of several outputs."""


def format_for_axis(axis: Literal["ScannedTime", "UnrolledTime"]) -> ExportFormat:
    """The format that goes through time in one of the ways of :mod:`sewdsl.exchange.write.onnx.time_axis`."""
    return ExportFormat(endings=(".onnx",), write=partial(_write, axis), run=_run, tolerance=1e-4)


def _write(axis: str, model: SpikingNetwork, inputs: str) -> bytes:
    try:
        from sewdsl.exchange.write.onnx import time_axis as axes  # onnx need not be installed
        from sewdsl.exchange.write.onnx.write_model import to_onnx
    except ModuleNotFoundError as error:
        raise MissingLibrary(error.name or "onnx") from None
    data: bytes = to_onnx(model, getattr(axes, axis), inputs).SerializeToString(deterministic=True)
    return data


def _run(data: bytes, x: Tensor) -> Outputs:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingLibrary(error.name or "onnxruntime") from None
    import torch

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs() if output.name.rpartition("/")[2] == LOGITS]
    outputs = dict(zip(names, map(torch.from_numpy, session.run(names, {"input": x.numpy()})), strict=True))
    return outputs[LOGITS] if LOGITS in outputs else {name.removesuffix(f"/{LOGITS}"): y for name, y in outputs.items()}


target: ExportFormat = format_for_axis("ScannedTime")
unrolled_target: ExportFormat = format_for_axis("UnrolledTime")
