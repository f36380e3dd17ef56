"""Execution of ONNX files with onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnxruntime
import torch

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.exchange.write.formats import Outputs

LOGITS = "logits"
"""Name of the readout in a file. ``NAME/logits`` for each of several outputs."""


def run_model(data: bytes, x: Tensor) -> Outputs:
    """Run a file and return its readout.

    Several outputs are returned by name.
    """
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs() if output.name.rpartition("/")[2] == LOGITS]
    outputs = dict(zip(names, map(torch.from_numpy, session.run(names, {"input": x.numpy()})), strict=True))
    return outputs[LOGITS] if LOGITS in outputs else {name.removesuffix(f"/{LOGITS}"): y for name, y in outputs.items()}
