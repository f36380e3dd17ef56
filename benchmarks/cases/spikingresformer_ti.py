"""SpikingResformer-Ti of Shi, Hao and Yu (CVPR 2024): attention whose scores are spikes.

In float32, larger images flip so many spikes that the outputs of an untrained network cannot be compared.
"""

from __future__ import annotations

from itertools import product

from benchmarks.case import Case, Comparison, Scope, compare
from benchmarks.contenders import SEWDSL, SPIKINGJELLY
from benchmarks.settings import OWN, SETTINGS
from benchmarks.workload import Workload


def comparisons(scope: Scope) -> list[Comparison]:
    """Return rows of a training step, and of inference after it."""
    size, T, N, settings = (32, 2, 2, (OWN,)) if scope.quick else (64, 4, 4, SETTINGS)
    return [
        compare(
            Workload("spikingresformer-ti", (3, size, size), T, N, train=train, static=True, device=device),
            scope.among(SEWDSL, SPIKINGJELLY),
            settings=settings,
        )
        for device, train in product(scope.devices, (False,) if scope.quick else (True, False))
    ]


CASE = Case("spikingresformer-ti", "SpikingResformer-Ti", comparisons)
