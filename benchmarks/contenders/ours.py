"""The networks as sewdsl compiles them."""

from __future__ import annotations

from functools import partial

import sewdsl
from benchmarks.contenders.model import Model
from benchmarks.workload import Workload


def build(workload: Workload) -> Model:
    """Compiles the text; its names and default values are the paper's."""
    module = sewdsl.compile(workload.spec, input=workload.shape, steps=workload.steps, seed=0)
    return Model(module, partial(module, return_sequence=True) if workload.layer else module)
