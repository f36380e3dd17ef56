"""What a compiled network does, trained or not: firing rates and gradients, block by block, and operations.

Everything takes a module and batches of inputs and classes, and keeps a few numbers for each block or layer, however
many there are.
"""

from __future__ import annotations

from sewdsl.probe.block import NamedResidual, named_residuals
from sewdsl.probe.gradients import block_gradients
from sewdsl.probe.mode import set_untrained_mode
from sewdsl.probe.noise import random_inputs
from sewdsl.probe.operations import MeasuredOperations, measure_operations
from sewdsl.probe.rates import BlockRate, block_rates

__all__ = [
    "BlockRate",
    "MeasuredOperations",
    "NamedResidual",
    "block_gradients",
    "block_rates",
    "measure_operations",
    "named_residuals",
    "random_inputs",
    "set_untrained_mode",
]
