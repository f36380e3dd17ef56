"""Time and memory of the steps of a contender."""

from __future__ import annotations

import torch

from benchmarks import steps, timing
from benchmarks.contenders import contender
from benchmarks.job import Job
from benchmarks.results import Sample


def run(job: Job) -> Sample:
    """Build the network, load the common weights, and time it."""
    torch.set_num_threads(job.plan.threads)
    workload = job.the_workload
    (name,) = job.contenders
    model = contender(name).build(workload)
    model.module.to(workload.device)
    model.load(torch.load(job.the_file, map_location=workload.device))
    data = steps.batch(workload)
    if model.prepare is None:
        steps.first(model, workload, data)
    else:
        model.prepare()
    return timing.measure(steps.step(model, workload, data), job.plan, workload.device)
