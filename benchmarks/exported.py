"""Inference of a network here and, as an ONNX model, in onnxruntime and OpenVINO.

``python -m benchmarks.exported 7b-net 4``: all take the same random input of 4 samples, in turns, with two threads each
and in float32; the times are medians. What gives other logits is not timed. Of the two
forms of a model, ``unrolled`` has a node for each time-step in place of a loop. OpenVINO is measured where it is
installed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import onnxruntime
import torch
from torch import Tensor

import sewdsl
from sewdsl.exchange.write.formats import load_format
from sewdsl.probe import random_inputs

THREADS = 2
ROUNDS = 10
FORMS = {"": "onnx", ", unrolled": "onnx-unrolled"}
"""By what is said of them after an engine's name."""
MAX_DIFFERENCE = 0.2
"""Of the logits on average, as a part of how they are spread: another order of the same sums flips a spike now and
then, and in a network with random weights each grows from layer to layer. Zeros would differ by about 1."""

Run = Callable[[], Tensor]


def measure(spec: str, samples: int, rounds: int) -> dict[str, float]:
    """Seconds of a forward pass, by who makes it; two passes come before the clock starts.

    Raises:
        ValueError: an engine gives something else than sewdsl.
    """
    model = sewdsl.compile(spec, seed=0).eval()
    ((x, _),) = random_inputs(model.network, samples=samples)
    runs: dict[str, Run] = {"sewdsl": lambda: model(x)}
    with TemporaryDirectory(prefix="benchmarks-") as folder, torch.inference_mode():
        for words, form in FORMS.items():
            file = Path(folder) / f"{form}.onnx"
            file.write_bytes(load_format(form).write(model, ""))
            runs[f"onnxruntime{words}"] = in_onnxruntime(file, x)
            if find_spec("openvino") is not None:
                runs[f"OpenVINO{words}"] = in_openvino(file, x)
        expected = model(x)
        for name, run in runs.items():
            difference = ((run() - expected).abs().mean() / expected.std()).item()
            if not difference <= MAX_DIFFERENCE:
                message = f"{name} differs by {difference:.2g} of the spread of the logits: it is not timed"
                raise ValueError(message)
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(rounds + 2):
            for name, run in runs.items():
                start = perf_counter()
                run()
                times[name].append(perf_counter() - start)
    return {name: median(found[2:]) for name, found in times.items()}


def in_onnxruntime(file: Path, x: Tensor) -> Run:
    """A model in onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # while others are measured
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    feed = {"input": x.numpy()}
    return lambda: torch.from_numpy(session.run(["logits"], feed)[0])


def in_openvino(file: Path, x: Tensor) -> Run:
    """A model in OpenVINO, which would compute in 16 bits where the processor does if it were not told otherwise."""
    import openvino  # noqa: PLC0415 -- it may not be there

    settings: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": THREADS,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    core = openvino.Core()
    request = core.compile_model(core.read_model(file), "CPU", settings).create_infer_request()
    feed = {"input": x.numpy()}
    return lambda: torch.from_numpy(request.infer(feed)["logits"])


def main() -> None:
    """Prints the times, and each as a multiple of ours."""
    if len(sys.argv) != 3:  # noqa: PLR2004 -- the command, a network and a number
        raise SystemExit(__doc__)
    torch.set_num_threads(THREADS)
    with sewdsl.memory_kept():
        found = measure(sys.argv[1], int(sys.argv[2]), ROUNDS)
    for name, seconds in found.items():
        sys.stdout.write(f"{name}: {1000 * seconds:.0f} ms, {seconds / found['sewdsl']:.2f} times\n")


if __name__ == "__main__":
    main()
