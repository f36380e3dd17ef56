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
    """What a model gives in onnxruntime, once the checker of onnx has found nothing wrong.

    Args:
        model: The model; what is wanted becomes one of its outputs.
        x: Its input, or its inputs by name.
        inner: What values are to be, ``[T, N, *]`` by name, that are wanted too; they come as ``[T·N, *]``.
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
