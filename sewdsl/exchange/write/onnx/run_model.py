"""Execution of ONNX files with onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import torch

if TYPE_CHECKING:
    from sewdsl.exchange.write.formats import Outputs
    from sewdsl.lower.inputs import Inputs

LOGITS = "logits"
"""Name of the readout in a file. ``NAME/logits`` for each of several outputs."""


def run_model(data: bytes, x: Inputs) -> Outputs:
    """Run a file and return its readout. Several outputs are returned by name."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    feeds = {name: each.numpy() for name, each in (x if isinstance(x, Mapping) else {"input": x}).items()}
    integers = (source.name for source in session.get_inputs() if source.type == "tensor(int64)")
    feeds |= {name: feeds[name].astype(np.int64) for name in integers}
    names = [output.name for output in session.get_outputs() if output.name.rpartition("/")[2] == LOGITS]
    outputs = dict(zip(names, map(torch.from_numpy, session.run(names, feeds)), strict=True))
    return outputs[LOGITS] if LOGITS in outputs else {name.removesuffix(f"/{LOGITS}"): y for name, y in outputs.items()}
