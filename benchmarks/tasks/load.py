"""Time from text to a checked network."""

from __future__ import annotations

from time import perf_counter

import sewdsl
from benchmarks.job import Job
from benchmarks.nodes import LIMITS
from benchmarks.results import Sample


def run(job: Job) -> Sample:
    """Load the file of the job once."""
    start = perf_counter()
    sewdsl.load(job.the_file, limit=LIMITS)
    return Sample(times=[perf_counter() - start])
