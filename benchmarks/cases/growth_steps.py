"""Growth of a training step's time and memory with the number of time-steps."""

from __future__ import annotations

from benchmarks.case import Case, Comparison, Scope, compare
from benchmarks.contenders import SEWDSL, SPIKINGJELLY
from benchmarks.settings import OWN, SETTINGS
from benchmarks.workload import Workload


def comparisons(scope: Scope) -> list[Comparison]:
    """Return rows of 7B-Net with two samples, so that 64 time-steps fit into memory."""
    steps, settings = ((1,), (OWN,)) if scope.quick else ((4, 8, 16, 32, 64), SETTINGS)
    return [
        compare(
            Workload("7b-net", (2, 128, 128), T, 2, train=not scope.quick),
            scope.among(SEWDSL, SPIKINGJELLY),
            settings=settings,
            size=T,
        )
        for T in steps
    ]


CASE = Case("growth-steps", "7B-Net by the number of time-steps", comparisons, unit="T")
