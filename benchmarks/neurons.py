"""Neurons with equations, forward and backward.

``python -m benchmarks.neurons CUBA LIF PLIF`` compares, for each named neuron of ``nets/neurons.net``, the kernels
generated from its equations, the loop in PyTorch, and for IF, LIF and PLIF the kernels of these kinds. All get the same
random input, 2.1 million neurons at T = 16, in turns in one process with memory kept and two threads. Times are minima
of the rounds. On a shared machine, only their ratios are meaningful.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from time import perf_counter

import torch
from torch import Tensor

from sewdsl import keep_memory
from sewdsl.elaborate.neuron_kinds import shipped_neurons
from sewdsl.ops import catalogue
from sewdsl.ops.equation_neurons import equation_kind
from sewdsl.snn import kernels
from sewdsl.snn.equations import Equations
from sewdsl.snn.neuron import Neuron

THREADS = 2
ROUNDS = 5
STEPS, SHAPE = 16, (4, 128, 64, 64)
KINDS = ("IF", "LIF", "PLIF")
"""Neurons that are also kinds with kernels."""


def measure(name: str, shape: tuple[int, ...], rounds: int) -> dict[str, float]:
    """Return the times of a forward and a backward pass in seconds, after a warm-up."""
    kinds = catalogue()
    kind = equation_kind(shipped_neurons()[name])
    steps = {"steps": STEPS} if "steps" in kind.model_fields else {}
    module = Equations(kind.model_validate(steps), shape[1], STEPS)
    runs: dict[str, Callable[[Tensor], Tensor]] = {"generated": module, "loop": _looped(module)}
    if name in KINDS:
        runs["kernel of the kind"] = Neuron(kinds[name].model_validate({}))  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(STEPS, *shape, generator=generator) + 0.3).requires_grad_()
    gradient = torch.randn(x.shape, generator=generator)
    least = dict.fromkeys(runs, float("inf"))
    for turn in range(rounds + 1):
        for who, run in runs.items():
            x.grad = None
            start = perf_counter()
            torch.autograd.backward(run(x), gradient)
            if turn:
                least[who] = min(least[who], perf_counter() - start)
    return least


def _looped(module: Equations) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        with kernels.use_kernels("reference"):
            y: Tensor = module(x)
            return y

    return run


def main() -> None:
    """Print the times, and their ratios to those of the generated kernels."""
    names = sys.argv[1:]
    if not names or not set(names) <= {*shipped_neurons()}:
        raise SystemExit(__doc__)
    # Otherwise a run may reuse pages of another run, or have to allocate them.
    keep_memory()
    torch.set_num_threads(THREADS)
    sys.stdout.write(f"{os.cpu_count()} cores, torch {torch.__version__}\n")
    for name in names:
        times = measure(name, SHAPE, ROUNDS)
        for who, seconds in times.items():
            sys.stdout.write(f"{name}, {who}: {1000 * seconds:.0f} ms, {seconds / times['generated']:.2f} times\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
