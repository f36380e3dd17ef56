"""Time to copy the bytes of a layer of neurons, a bound for every kernel."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks import timing
from benchmarks.job import Job
from benchmarks.results import Sample
from benchmarks.workload import Workload

HALVES = 5
"""Number of copies of half a tensor, each of which reads and writes a half. The forward pass reads the input and writes
the spikes. The backward pass reads the input and the spikes' gradient, and writes the input gradient: five tensors."""


def run(job: Job) -> Sample:
    """Copy the bytes of a forward and a backward pass, without allocations."""
    torch.set_num_threads(job.plan.threads)
    return timing.measure(step(job.the_workload), job.plan, job.the_workload.device)


def step(workload: Workload) -> Callable[[], None]:
    """Return a function that copies all bytes once."""
    shape = (workload.steps, workload.samples, *workload.shape)
    source = torch.ones(shape, device=workload.device).view(2, -1)
    target = torch.ones_like(source)

    def copy() -> None:
        for index in range(HALVES):
            target[index % 2].copy_(source[index % 2])

    return copy
