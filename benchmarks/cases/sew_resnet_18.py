"""SEW-ResNet-18 of Fang et al. 2021 on images, and on sequences.

With sequences, no layer can be computed once for all time-steps.
"""

from __future__ import annotations

from itertools import product

from benchmarks.case import Case, Comparison, Scope, compare
from benchmarks.contenders import LEVEL_2
from benchmarks.settings import ALL, OWN, SETTINGS
from benchmarks.workload import Workload

NETWORK = "sew-resnet-18"
SMALL, LARGE = 64, 224


def comparisons(scope: Scope) -> list[Comparison]:
    """Return rows of two image sizes, training and inference, both precisions, and a sequence."""
    if scope.quick:
        small = [
            Workload(NETWORK, (3, 32, 32), 2, 2, train=False, static=True, device=device) for device in scope.devices
        ]
        return [compare(workload, scope.contenders, settings=(OWN,)) for workload in small]
    images = [
        Workload(NETWORK, (3, size, size), 4, 4, train=train, precision=precision, static=True, device=device)
        for device, size, train, precision in product(scope.devices, (SMALL, LARGE), (True, False), ("fp32", "bf16"))
    ]
    sequences = [Workload(NETWORK, (3, LARGE, LARGE), 4, 4, device=device) for device in scope.devices]
    return [
        compare(
            workload,
            (*scope.contenders, LEVEL_2) if workload.device == "cpu" else scope.contenders,
            settings=ALL if workload.train and workload.shape[1] > SMALL else SETTINGS,
        )
        for workload in images + sequences
    ]


CASE = Case("sew-resnet-18", "SEW-ResNet-18", comparisons)
