"""7B-Net of Fang et al. 2021 on event frames."""

from __future__ import annotations

from itertools import product

from benchmarks.case import Case, Comparison, Scope, compare
from benchmarks.contenders import LEVEL_2, PLANNED, Contender
from benchmarks.settings import ALL, OWN, SETTINGS
from benchmarks.workload import Workload


def comparisons(scope: Scope) -> list[Comparison]:
    """Return rows of training steps and inference, in float32 and under autocast."""
    T, N = (2, 2) if scope.quick else (16, 4)
    kinds = ((True, "bf16"),) if scope.quick else product((True, False), ("fp32", "bf16"))
    return [
        compare(
            Workload("7b-net", (2, 128, 128), T, N, train=train, precision=precision, device=device),
            (*scope.contenders, *_more(train=train, precision=precision, device=device)),
            settings=(OWN,) if scope.quick else ALL if train else SETTINGS,
        )
        for device, (train, precision) in product(scope.devices, kinds)
    ]


def _more(*, train: bool, precision: str, device: str) -> tuple[Contender, ...]:
    """Return additional variants of sewdsl on the CPU."""
    # In 16 bits, inference at level 2 equals that at level 1.
    if device != "cpu" or (precision == "bf16" and not train):
        return ()
    return (LEVEL_2, PLANNED) if precision == "bf16" else (LEVEL_2,)


CASE = Case("7b-net", "7B-Net", comparisons)
