"""ONNX models, checked and run."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnxruntime
import torch
from onnx import ModelProto, helper
from torch import Tensor

from sewdsl.lower.inputs import Inputs

NOTHING: Mapping[str, Tensor] = {}


def run(model: ModelProto, x: Inputs, inner: Mapping[str, Tensor] = NOTHING) -> dict[str, Tensor]:
    """Check a model with onnx, and return its outputs in onnxruntime.

    Args:
        model: ONNX model, to which the inner values are added as outputs.
        x: Input, or inputs by name.
        inner: Further values to return, as ``[T·N, *]``: their examples ``[T, N, *]`` by name.
    """
    if inner:
        form = model.graph.output[0].type.tensor_type.elem_type
        model.graph.output.extend(
            helper.make_tensor_value_info(name, form, [None] * (value.ndim - 1)) for name, value in inner.items()
        )
    data = model.SerializeToString()
    onnx.checker.check_model(data, full_check=True)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    feed = {name: each.numpy() for name, each in ({"input": x} if isinstance(x, Tensor) else x).items()}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, map(torch.from_numpy, session.run(names, feed)), strict=True))
