"""The networks as sewdsl compiles them."""

from __future__ import annotations

from functools import partial
from typing import Any

import sewdsl
from benchmarks.contenders.model import Model
from benchmarks.workload import Workload


def build(workload: Workload, *, memory: str | None = None, **options: Any) -> Model:
    """Compiles the text, whose names and default values are the paper's.

    Args:
        workload: What to build.
        memory: What a training step may take, as a recipe says it.
        **options: Those of ``sewdsl.compile``.
    """
    if memory is not None:
        precision = "mixed" if workload.precision == "bf16" else "32"
        recipe = {"memory": memory, "batch": str(workload.samples), "precision": precision, "T_train": "none"}
        options["set"] = {f"train.{key}": value for key, value in recipe.items()}
    module = sewdsl.compile(workload.spec, input=workload.shape, steps=workload.steps, seed=0, **options)
    return Model(module, partial(module, return_sequence=True) if workload.layer else module)
