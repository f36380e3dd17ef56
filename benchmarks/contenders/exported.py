"""Networks exported to ONNX, in inference engines: onnxruntime and OpenVINO.

An exported model has a fixed size and fixed weights, so it is written when both are known. Each engine gets as many
threads as PyTorch. OpenVINO is set to 32 bits, since it would use 16 bits on processors that support them.
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
    """Return a network of sewdsl with the weights, and a function that runs it in an engine.

    Args:
        workload: Workload: inference in float32 on the CPU.
        engine: Name of the engine, one of :data:`ENGINES`.
        form: Format: ``onnx`` with a loop over time, or ``onnx-unrolled`` with nodes for each time-step.
    """
    module = sewdsl.compile(workload.spec, input=workload.shape, steps=workload.steps, seed=0)
    ready: list[Run] = []

    def prepare() -> None:
        with TemporaryDirectory(prefix="benchmarks-") as folder:
            # The engine reads the file, which is needed only until then.
            file = Path(folder) / "network.onnx"
            file.write_bytes(FORMATS[form].write(module.eval(), ""))
            ready[:] = [ENGINES[engine](file)]

    def forward(x: Tensor) -> Tensor:
        return ready[0](x)

    return Model(module, forward, prepare=prepare)


def in_onnxruntime(file: Path) -> Run:
    """Return a model in onnxruntime."""
    import onnxruntime  # noqa: PLC0415 -- optional

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(["logits"], {"input": x.numpy()})[0])


def in_openvino(file: Path) -> Run:
    """Return a model in OpenVINO."""
    import openvino  # noqa: PLC0415 -- optional

    settings: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    core = openvino.Core()
    request = core.compile_model(core.read_model(file), "CPU", settings).create_infer_request()
    return lambda x: torch.from_numpy(request.infer({"input": x.numpy()})["logits"])


ENGINES: dict[str, Callable[[Path], Run]] = {"onnxruntime": in_onnxruntime, "openvino": in_openvino}
"""Engines by package name."""
