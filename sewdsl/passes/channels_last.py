"""Channels last: maps are stored with the channels of a place side by side."""

from __future__ import annotations

from dataclasses import replace

from sewdsl.ops.layers.conv import Conv
from sewdsl.passes.program import Program


def use_channels_last(program: Program) -> tuple[Program, str]:
    """Stores the weights of convolutions channels-last; what they give follows, and what is computed from it.

    oneDNN and cuDNN then need not turn every map over before a convolution and back after it, and the sums of batch
    norm run over neighbours.

    Law: the same outputs and gradients, apart from rounding, since a convolution adds up in another order, and what is
    decided by it.
    """
    maps = (node for node in program.network if len(node.output.shape) == len("CHW"))
    count = sum(isinstance(node.op, Conv) for node in maps)
    if not count:
        return program, ""
    return replace(program, channels_last=True), f"maps of {count} convolutions are stored channels-last"
