"""Time and peak memory of steps in this process."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import torch

from benchmarks import memory
from benchmarks.plan import Plan
from benchmarks.results import Sample


def measure(run: Callable[[], None], plan: Plan, device: str) -> Sample:
    """Time a step as often as planned.

    Args:
        run: The step, with all lazy imports and compilations done.
        plan: Number and duration of the steps.
        device: On ``cuda``, the clock waits for the device, and memory is that of PyTorch's allocator.
    """
    held = _settle(device)
    for _ in range(plan.warm_up):
        run()
    times: list[float] = []
    while len(times) < plan.least or (sum(times) < plan.seconds and len(times) < plan.most):
        # CUDA launches are asynchronous.
        _wait(device)
        start = perf_counter()
        run()
        _wait(device)
        times.append(perf_counter() - start)
    return Sample(times=times, held=held, peak=_peak(device))


def _settle(device: str) -> int:
    if device == "cpu":
        return memory.settle()
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def _peak(device: str) -> int:
    return memory.peak() if device == "cpu" else torch.cuda.max_memory_allocated()


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
