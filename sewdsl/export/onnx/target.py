"""What ONNX files are written with, and run with, once that is asked for: both libraries need not be there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from sewdsl.export.refusal import MissingLibrary
from sewdsl.export.target import ExportFormat

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.lower import SpikingNetwork


def format_for_axis(axis: Literal["Scanned", "Unrolled"]) -> ExportFormat:
    """The format that goes through time in one of the ways of :mod:`sewdsl.export.onnx.axis`."""
    return ExportFormat(endings=(".onnx",), write=partial(_write, axis), run=_run)


def _write(axis: str, model: SpikingNetwork, inputs: str) -> bytes:
    try:
        from sewdsl.export.onnx import axis as axes  # noqa: PLC0415 -- onnx need not be installed
        from sewdsl.export.onnx.model import to_onnx  # noqa: PLC0415 -- as above
    except ModuleNotFoundError as error:
        raise MissingLibrary(error.name or "onnx") from None
    data: bytes = to_onnx(model, getattr(axes, axis), inputs).SerializeToString(deterministic=True)
    return data


def _run(data: bytes, x: Tensor) -> Tensor:
    try:
        import onnxruntime  # noqa: PLC0415 -- as above
    except ModuleNotFoundError as error:
        raise MissingLibrary(error.name or "onnxruntime") from None
    import torch  # noqa: PLC0415 -- torch takes seconds

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"input": x.numpy()})
    return torch.from_numpy(logits)
