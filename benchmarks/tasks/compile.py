"""The time from a network to a torch module."""

from __future__ import annotations

from time import perf_counter

import sewdsl
from benchmarks.job import Job
from benchmarks.nodes import LIMITS
from benchmarks.results import Sample


def run(job: Job) -> Sample:
    """Compiles the network of the job's file once; what is imported on the way is imported before."""
    sewdsl.compile("FC1", input="1", seed=0)
    network = sewdsl.load(job.the_file, limit=LIMITS)
    start = perf_counter()
    sewdsl.compile(network, seed=0)
    return Sample(times=[perf_counter() - start])
