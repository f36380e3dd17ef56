"""The network exported to ONNX, in engines that do nothing but inference: onnxruntime and OpenVINO.

A model of theirs is of one size and has its weights in it, so it is made when both are known. Each gets as many threads
as torch has, and OpenVINO is told to stay with 32 bits, which it would leave where the processor computes in 16.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

import sewdsl
from benchmarks.contenders.model import Model
from benchmarks.workload import Workload
from sewdsl.exchange.write.formats import FORMATS

Run = Callable[[Tensor], Tensor]


def build(workload: Workload, *, engine: str, form: str) -> Model:
    """A network of sewdsl, which holds the weights, and what an engine makes of it.

    Args:
        workload: What to build: inference in float32, on the CPU.
        engine: One of :data:`ENGINES`.
        form: How the model is written: ``onnx``, with a loop over time, or ``onnx-unrolled``, a node for each step.
    """
    module = sewdsl.compile(workload.spec, input=workload.shape, steps=workload.steps, seed=0)
    ready: list[Run] = []

    def prepare() -> None:
        with TemporaryDirectory(prefix="benchmarks-") as folder:
            file = Path(folder) / "network.onnx"
            file.write_bytes(FORMATS[form].write(module.eval(), ""))
            ready[:] = [ENGINES[engine](file)]

    def forward(x: Tensor) -> Tensor:
        return ready[0](x)

    return Model(module, forward, prepare=prepare)


def in_onnxruntime(file: Path) -> Run:
    """A model in onnxruntime."""
    import onnxruntime  # noqa: PLC0415 -- the other engine may be there alone

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(["logits"], {"input": x.numpy()})[0])


def in_openvino(file: Path) -> Run:
    """A model in OpenVINO."""
    import openvino  # noqa: PLC0415 -- as above

    settings: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    core = openvino.Core()
    request = core.compile_model(core.read_model(file), "CPU", settings).create_infer_request()
    return lambda x: torch.from_numpy(request.infer({"input": x.numpy()})["logits"])


ENGINES: dict[str, Callable[[Path], Run]] = {"onnxruntime": in_onnxruntime, "openvino": in_openvino}
"""By the package's name."""
