"""What a compiled network does, trained or not: firing rates and gradients, block by block.

Everything takes a module and batches of inputs and classes, and keeps a few numbers for each block, however many there
are.
"""

from __future__ import annotations

from sewdsl.probe.block import Block, blocks
from sewdsl.probe.gradients import gradients
from sewdsl.probe.noise import noise
from sewdsl.probe.rates import Rate, rates

__all__ = ["Block", "Rate", "blocks", "gradients", "noise", "rates"]
