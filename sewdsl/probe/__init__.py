"""What a compiled network does, trained or not: firing rates and gradients, block by block, and operations.

Everything takes a module and batches of inputs and classes, and keeps a few numbers for each block or layer, however
many there are.
"""

from __future__ import annotations

from sewdsl.probe.block import Block, blocks
from sewdsl.probe.gradients import gradients
from sewdsl.probe.mode import before_training
from sewdsl.probe.noise import noise
from sewdsl.probe.operations import Measured, operations
from sewdsl.probe.rates import Rate, rates

__all__ = ["Block", "Measured", "Rate", "before_training", "blocks", "gradients", "noise", "operations", "rates"]
