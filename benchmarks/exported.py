"""Inference of a network here and, as an ONNX model, in onnxruntime: ``python -m benchmarks.exported 7b-net 4``.

Both take the same random input, in turns, with two threads each; the times are medians.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter

import onnxruntime
import torch

import sewdsl
from sewdsl.exchange.write.formats import load_format
from sewdsl.lower import SpikingNetwork
from sewdsl.probe import random_inputs

THREADS = 2
ROUNDS = 10


def measure(spec: str, samples: int, rounds: int) -> dict[str, float]:
    """Seconds of a forward pass, by who makes it; two passes come before the clock starts."""
    model = sewdsl.compile(spec, seed=0).eval()
    ((x, _),) = random_inputs(model.network, samples=samples)
    runs: dict[str, Callable[[], object]] = {"sewdsl": lambda: model(x)}
    for name in ("onnx", "onnx-unrolled"):
        runs[name] = _session(model, name, {"input": x.numpy()})
    times: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for _ in range(rounds + 2):
            for name, run in runs.items():
                start = perf_counter()
                run()
                times[name].append(perf_counter() - start)
    return {name: median(found[2:]) for name, found in times.items()}


def _session(model: SpikingNetwork, name: str, feed: dict[str, object]) -> Callable[[], object]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(
        load_format(name).write(model, ""), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(["logits"], feed)


def main() -> None:
    """Prints the times, and each as a multiple of ours."""
    if len(sys.argv) != 3:  # noqa: PLR2004 -- the command, a network and a number
        raise SystemExit(__doc__)
    torch.set_num_threads(THREADS)
    found = measure(sys.argv[1], int(sys.argv[2]), ROUNDS)
    for name, seconds in found.items():
        sys.stdout.write(f"{name}: {1000 * seconds:.0f} ms, {seconds / found['sewdsl']:.2f} times\n")


if __name__ == "__main__":
    main()
