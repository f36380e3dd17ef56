"""The networks as sewdsl compiles them."""

from __future__ import annotations

from functools import partial
from typing import Any

import sewdsl
from benchmarks.contenders.model import Model
from benchmarks.workload import Workload


def build(workload: Workload, **options: Any) -> Model:
    """Compiles the text, whose names and default values are the paper's; options are those of ``sewdsl.compile``."""
    module = sewdsl.compile(workload.spec, input=workload.shape, steps=workload.steps, seed=0, **options)
    return Model(module, partial(module, return_sequence=True) if workload.layer else module)
