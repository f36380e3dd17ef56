"""A layer of two million LIF neurons, compared with the time to move its bytes."""

from __future__ import annotations

from itertools import product

from benchmarks.case import Case, Comparison, Scope, compare
from benchmarks.settings import OWN, SETTINGS
from benchmarks.workload import Workload


def comparisons(scope: Scope) -> list[Comparison]:
    """Return rows of T = 4, 16 and 32."""
    shape, steps = ((4, 8, 8), (4,)) if scope.quick else ((32, 128, 128), (4, 16, 32))
    settings = (OWN,) if scope.quick else SETTINGS
    return [
        compare(Workload("lif-layer", shape, T, 4, device=device), scope.contenders, settings=settings, bound=True)
        for device, T in product(scope.devices, steps)
    ]


CASE = Case("lif-layer", "A layer of LIF neurons, forward and backward", comparisons)
