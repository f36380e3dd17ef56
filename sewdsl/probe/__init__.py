"""Measurements inside a compiled network: firing rates and gradients of blocks, and operations of layers.

The functions accept a module and batches of inputs and classes. They store a few numbers per block or layer, so their
memory does not grow with the number of batches.
"""

from __future__ import annotations

from sewdsl.analysis.residual_blocks import NamedResidual, named_residuals
from sewdsl.probe.block_measures import BlockRate, block_gradients, block_rates
from sewdsl.probe.measured_operations import MeasuredActivations, MeasuredOperations, measure_operations
from sewdsl.probe.untrained import move_batches, random_inputs, set_untrained_mode

__all__ = [
    "BlockRate",
    "MeasuredActivations",
    "MeasuredOperations",
    "NamedResidual",
    "block_gradients",
    "block_rates",
    "measure_operations",
    "move_batches",
    "named_residuals",
    "random_inputs",
    "set_untrained_mode",
]
