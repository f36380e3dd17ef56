"""Convolutions by Winograd's algorithm, which multiplies a quarter or half as often."""

from __future__ import annotations

from dataclasses import replace

from sewdsl.ops.layers.conv import Conv
from sewdsl.passes.channels_last import share_on_small_maps
from sewdsl.passes.program import Program
from sewdsl.snn.limits import WINOGRAD_CHANNELS, WINOGRAD_KERNEL

MOST_SMALL = 2 / 3
"""The greatest share of multiplications on small maps with which the algorithm gains more than channels-last costs."""


def use_winograd(program: Program) -> tuple[Program, str]:
    """Mark convolutions whose output and gradients may be computed by Winograd's algorithm, in float32.

    A cost model decides at each call, from the sizes of maps and channels alone, which of the three are. The algorithm
    reads the channels of a place side by side, so maps are stored channels-last.

    Law: the same outputs and gradients, apart from rounding: a number is a sum of other products. How far apart is
    stated in :mod:`sewdsl.snn.kernels.winograd`.
    """
    network = program.network
    found = frozenset(
        index
        for index, node in enumerate(network.nodes)
        if isinstance(op := node.op, Conv)
        and op.kernel == WINOGRAD_KERNEL
        and op.stride == op.dilation == (1, 1)
        and op.groups == 1
        and not network.inputs(node)[0].channels % WINOGRAD_CHANNELS
        and not op.channels % WINOGRAD_CHANNELS
    )
    if not found:
        return program, ""
    if not program.channels_last and share_on_small_maps(network, map(network.nodes.__getitem__, found)) > MOST_SMALL:
        return program, ""
    message = f"{len(found)} convolutions of 3x3 multiply a quarter to half as often, in 32 bits"
    return replace(program, winograd=found, channels_last=True), message
