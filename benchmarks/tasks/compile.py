"""Time from a network to a PyTorch module."""

from __future__ import annotations

from time import perf_counter

import sewdsl
from benchmarks.job import Job
from benchmarks.nodes import LIMITS
from benchmarks.results import Sample


def run(job: Job) -> Sample:
    """Compile the network in the file of the job once."""
    # Exclude lazy imports from the time.
    sewdsl.compile("FC1", input="1", seed=0)
    network = sewdsl.load(job.the_file, limit=LIMITS)
    start = perf_counter()
    sewdsl.compile(network, seed=0)
    return Sample(times=[perf_counter() - start])
