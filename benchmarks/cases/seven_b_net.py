"""7B-Net of Fang et al. 2021 on frames of events."""

from __future__ import annotations

from itertools import product

from benchmarks.case import Case, Comparison, Scope, compare
from benchmarks.contenders import PLANNED
from benchmarks.settings import ALL, OWN, SETTINGS
from benchmarks.workload import Workload


def comparisons(scope: Scope) -> list[Comparison]:
    """A training step and inference, in float32 and under autocast."""
    T, N = (2, 2) if scope.quick else (16, 4)
    kinds = ((True, "bf16"),) if scope.quick else product((True, False), ("fp32", "bf16"))
    return [
        compare(
            Workload("7b-net", (2, 128, 128), T, N, train=train, precision=precision, device=device),
            (*scope.contenders, PLANNED) if train and (precision, device) == ("bf16", "cpu") else scope.contenders,
            settings=(OWN,) if scope.quick else ALL if train else SETTINGS,
        )
        for device, (train, precision) in product(scope.devices, kinds)
    ]


CASE = Case("7b-net", "7B-Net", comparisons)
