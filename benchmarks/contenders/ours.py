"""Networks compiled by sewdsl."""

from __future__ import annotations

from functools import partial
from typing import Any

import sewdsl
from benchmarks.contenders.model import Model
from benchmarks.workload import Workload


def build(workload: Workload, *, memory: str | None = None, **options: Any) -> Model:
    """Compile the text, whose names and defaults are those of the paper.

    Args:
        workload: Network and its sizes.
        memory: Memory budget of a training step, as in a recipe.
        **options: Other options of ``sewdsl.compile``.
    """
    if memory is not None:
        precision = "mixed" if workload.precision == "bf16" else "32"
        recipe = {"memory": memory, "batch": str(workload.samples), "precision": precision, "T_train": "none"}
        options["set"] = {f"train.{key}": value for key, value in recipe.items()}
    module = sewdsl.compile(workload.spec, input=workload.shape, steps=workload.steps, seed=0, **options)
    return Model(module, partial(module, return_sequence=True) if workload.layer else module)
