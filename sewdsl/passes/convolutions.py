"""How convolutions are computed: maps channels-last, by events, by Winograd's algorithm."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ops.layers.conv import Conv
from sewdsl.passes.program import EventInput, Program
from sewdsl.snn.limits import EVENT_CHANNELS, MAX_EVENT_KERNEL, WINOGRAD_CHANNELS, WINOGRAD_KERNEL

SMALL_MAP, MANY_CHANNELS = 4 * 4, 128
"""On maps of so few places, oneDNN convolves so many channels more slowly if they lie side by side: 0.7 to 0.98 times
as fast as row by row. All other sizes are 1.0 to 1.2 times as fast (16 and 64 maps, forward and backward, AVX-512)."""

MOST_SMALL_CHANNELS_LAST = 0.29
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
    if _share_on_small_maps(network, convolutions) >= MOST_SMALL_CHANNELS_LAST:
        return program, ""
    return replace(program, channels_last=True), f"maps of {len(convolutions)} convolutions are stored channels-last"


def _share_on_small_maps(network: Network, convolutions: Iterable[Node]) -> float:
    """Return the share of the multiplications of convolutions that is done on small maps of many channels."""
    small = total = 0
    for node in convolutions:
        macs, maps = network.macs(node), node.output
        total += macs
        if maps.channels >= MANY_CHANNELS and maps.elements <= SMALL_MAP * maps.channels:
            small += macs
    return small / total


def find_events(program: Program) -> tuple[Program, str]:
    """Mark convolutions whose outputs and weight gradients may be computed from the active inputs alone.

    How many inputs are active is counted at each call. If there are too many, the convolution is dense.

    Law: bit-identical outputs. An output is computed from active inputs only if a test, run once for each kind and size
    of convolution, shows that torch adds up its sums in the same order. Weight gradients are equal up to rounding, and
    nearer to the exact ones.
    """
    network = program.network
    if not program.channels_last:  # the kernels read the channels of a place side by side
        return program, ""
    found: dict[int, EventInput] = {}
    for index, node in enumerate(network.nodes):
        op = node.op
        if not isinstance(op, Conv) or op.groups > 1 or max(op.dilation) > 1 or max(op.kernel) > MAX_EVENT_KERNEL:
            continue
        (source,) = network.inputs(node)
        if source.values.count is not None and not (source.channels % EVENT_CHANNELS or op.channels % EVENT_CHANNELS):
            found[index] = "spikes" if source.values.binary else "counts"
    if not found:
        return program, ""
    counts = sum(kind == "counts" for kind in found.values())
    words = f"{len(found)} convolutions read spikes" + (f", {counts} of them sums of spikes" if counts else "")
    return replace(program, events=found), f"{words}: where few are active, only these are looked at"


def use_event_outputs(program: Program) -> tuple[Program, str]:
    """Compute the outputs of these convolutions from active inputs, whatever the order in which torch adds up sums.

    Law: the same outputs and gradients, apart from rounding.
    """
    if not program.events:
        return program, ""
    message = f"so are the outputs of all {len(program.events)} convolutions, in any order of their sums"
    return replace(program, exact=False), message


MOST_SMALL_WINOGRAD = 2 / 3
"""The greatest share of multiplications on small maps with which the algorithm gains more than channels-last costs."""


def use_winograd(program: Program) -> tuple[Program, str]:
    """Mark convolutions whose output and gradients may be computed by Winograd's algorithm, in float32.

    A cost model decides at each call, from the sizes of maps and channels alone, which of the three are. The algorithm
    reads the channels of a place side by side, so maps are stored channels-last.

    Law: the same outputs and gradients, apart from rounding: a number is a sum of other products. How far apart is
    stated in :mod:`sewdsl.snn.kernels.convolution.winograd`.
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
    share = _share_on_small_maps(network, map(network.nodes.__getitem__, found))
    if not program.channels_last and share > MOST_SMALL_WINOGRAD:
        return program, ""
    message = f"{len(found)} convolutions of 3x3 multiply a quarter to half as often, in 32 bits"
    return replace(program, winograd=found, channels_last=True), message
