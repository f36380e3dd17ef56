"""Growth of a training step's time and memory with the number of blocks."""

from __future__ import annotations

from benchmarks.case import Case, Comparison, Scope, compare
from benchmarks.contenders import SEWDSL, SPIKINGJELLY
from benchmarks.settings import OWN, SETTINGS
from benchmarks.workload import Workload


def comparisons(scope: Scope) -> list[Comparison]:
    """Return rows of SEW blocks with 32 channels at 32x32, without pooling."""
    blocks, settings = ((1,), (OWN,)) if scope.quick else ((2, 4, 8, 16, 32), SETTINGS)
    return [
        compare(
            Workload(f"blocks-{n}", (2, 32, 32), 4, 4, train=not scope.quick),
            scope.among(SEWDSL, SPIKINGJELLY),
            settings=settings,
            size=n,
        )
        for n in blocks
    ]


CASE = Case("growth-depth", "A chain of SEW blocks by their number", comparisons, unit="blocks")
