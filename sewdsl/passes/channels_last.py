"""Channels last: maps are stored with the channels of a place side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ops.layers.conv import Conv
from sewdsl.passes.program import Program

SMALL_MAP, MANY_CHANNELS = 4 * 4, 128
"""On maps of so few places, oneDNN convolves so many channels more slowly if they lie side by side: 0.7 to 0.98 times
as fast as row by row. All other sizes are 1.0 to 1.2 times as fast (16 and 64 maps, forward and backward, AVX-512)."""

MOST_SMALL = 0.29
"""The least share of multiplications on small maps that makes the layout a loss for the whole network."""


def use_channels_last(program: Program) -> tuple[Program, str]:
    """Store the weights of convolutions channels-last; what they give follows, and what is computed from it.

    oneDNN and cuDNN then need not turn every map over before a convolution and back after it, and the sums of batch
    norm run over neighbours. A network that multiplies mostly on small maps of many channels stays row by row.

    Law: the same outputs and gradients, apart from rounding, since a convolution adds up in another order, and what is
    decided by it.
    """
    network = program.network
    convolutions = [node for node in network if isinstance(node.op, Conv) and len(node.output.shape) == len("CHW")]
    if not convolutions:
        return program, ""
    if share_on_small_maps(network, convolutions) >= MOST_SMALL:
        return program, ""
    return replace(program, channels_last=True), f"maps of {len(convolutions)} convolutions are stored channels-last"


def share_on_small_maps(network: Network, convolutions: Iterable[Node]) -> float:
    """Return the share of the multiplications of convolutions that is done on small maps of many channels."""
    small = total = 0
    for node in convolutions:
        macs, maps = network.macs(node), node.output
        total += macs
        if maps.channels >= MANY_CHANNELS and maps.elements <= SMALL_MAP * maps.channels:
            small += macs
    return small / total
