"""The time that it takes to move the bytes of a layer of neurons, the bound of every kernel for it."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks import timing
from benchmarks.job import Job
from benchmarks.results import Sample
from benchmarks.workload import Workload

HALVES = 5
"""Copies of half a tensor: each reads half and writes half. The forward reads the input and writes spikes, the backward
reads the input and the spikes' gradient and writes the input's: five tensors in all."""


def run(job: Job) -> Sample:
    """Copies as many bytes as forward and backward have to move, again and again, memory in place."""
    torch.set_num_threads(job.plan.threads)
    return timing.measure(step(job.the_workload), job.plan, job.the_workload.device)


def step(workload: Workload) -> Callable[[], None]:
    """One time all the bytes."""
    whole = (workload.steps, workload.samples, *workload.shape)
    source = torch.ones(whole, device=workload.device).view(2, -1)
    target = torch.ones_like(source)

    def copy() -> None:
        for index in range(HALVES):
            target[index % 2].copy_(source[index % 2])

    return copy
