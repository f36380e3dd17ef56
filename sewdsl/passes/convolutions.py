"""Passes on convolutions: channels-last memory format, event-driven kernels, Winograd's algorithm."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ops.layers.conv import Conv
from sewdsl.passes.program import EventInput, Program
from sewdsl.snn.limits import EVENT_CHANNELS, MAX_EVENT_KERNEL, WINOGRAD_CHANNELS, WINOGRAD_KERNEL

SMALL_MAP, MANY_CHANNELS = 4 * 4, 128
"""Positions up to which, and channels from which, channels-last convolutions are slower in oneDNN.

They run 0.7 to 0.98 times as fast as contiguous ones. All other sizes run 1.0 to 1.2 times as fast (16 and 64 feature
maps, forward and backward pass, AVX-512).
"""

MOST_SMALL_CHANNELS_LAST = 0.29
"""Fraction of MACs on small feature maps from which channels-last slows down the whole network."""


def use_channels_last(program: Program) -> tuple[Program, str]:
    """Store the weights of convolutions in channels-last format, which their outputs inherit.

    A network with most of its MACs on small feature maps with many channels stays contiguous.

    Law: equal outputs and gradients, up to rounding and its consequences: convolutions change the order of summation.
    """
    network = program.network
    convolutions = [node for node in network if isinstance(node.op, Conv) and len(node.output.shape) == len("CHW")]
    if not convolutions:
        return program, ""
    # With channels-last, oneDNN and cuDNN do not need to convert feature maps before and after each convolution, and
    # the sums of batch norm run over adjacent elements.
    if _fraction_on_small_maps(network, convolutions) >= MOST_SMALL_CHANNELS_LAST:
        return program, ""
    return replace(program, channels_last=True), f"{len(convolutions)} convolutions"


def _fraction_on_small_maps(network: Network, convolutions: Iterable[Node]) -> float:
    """Return the fraction of the convolutions' MACs on small feature maps with many channels."""
    small = total = 0
    for node in convolutions:
        # MACs approximate the time of a convolution.
        macs, output = network.macs(node), node.output
        total += macs
        if output.channels >= MANY_CHANNELS and output.elements <= SMALL_MAP * output.channels:
            small += macs
    return small / total


def find_events(program: Program) -> tuple[Program, str]:
    """Mark convolutions whose outputs and weight gradients may skip inactive inputs.

    Active inputs are counted at each call. If there are too many, the convolution is dense.

    Law: bit-identical outputs, and weight gradients equal up to rounding, with smaller errors. An output is
    computed event-driven only if a test shows that PyTorch sums in the same order. The test runs once for each kind and
    size of convolution.
    """
    network = program.network
    # The kernels read the channels of a position from adjacent memory.
    if not program.channels_last:
        return program, ""
    convolutions: dict[int, EventInput] = {}
    for index, node in enumerate(network.nodes):
        op = node.op
        # The kernels support these convolutions only.
        if not isinstance(op, Conv) or op.groups > 1 or max(op.dilation) > 1 or max(op.kernel) > MAX_EVENT_KERNEL:
            continue
        (source,) = network.inputs(node)
        if source.values.count is not None and not (source.channels % EVENT_CHANNELS or op.channels % EVENT_CHANNELS):
            convolutions[index] = "spikes" if source.values.binary else "counts"
    if not convolutions:
        return program, ""
    counts = sum(kind == "counts" for kind in convolutions.values())
    of_sums = f", {counts} of them of sums of spikes," if counts else ""
    report = f"{len(convolutions)} convolutions of spikes{of_sums} skip inactive inputs if few are active"
    return replace(program, events=convolutions), report


def use_event_outputs(program: Program) -> tuple[Program, str]:
    """Skip inactive inputs in all event-driven convolutions, regardless of PyTorch's order of summation.

    Law: equal outputs and gradients, up to rounding.
    """
    if not program.events:
        return program, ""
    report = f"outputs of all {len(program.events)} convolutions skip inactive inputs, in any order of summation"
    return replace(program, exact=False), report


MOST_SMALL_WINOGRAD = 2 / 3
"""Maximum fraction of MACs on small feature maps for which Winograd's algorithm outweighs the cost of channels-last."""


def use_winograd(program: Program) -> tuple[Program, str]:
    """Mark convolutions whose output and gradients may use Winograd's algorithm, in float32.

    At each call, a cost model decides for each of the three, from the sizes of feature maps and channels.

    Law: equal outputs and gradients, up to rounding: the sums have other terms. The error is stated in
    :mod:`sewdsl.snn.kernels.convolution.winograd`.
    """
    network = program.network
    convolutions = frozenset(
        index
        for index, node in enumerate(network.nodes)
        if isinstance(op := node.op, Conv)
        and op.kernel == WINOGRAD_KERNEL
        and op.stride == op.dilation == (1, 1)
        and op.groups == 1
        and not network.inputs(node)[0].channels % WINOGRAD_CHANNELS
        and not op.channels % WINOGRAD_CHANNELS
    )
    if not convolutions:
        return program, ""
    small_fraction = _fraction_on_small_maps(network, map(network.nodes.__getitem__, convolutions))
    if not program.channels_last and small_fraction > MOST_SMALL_WINOGRAD:
        return program, ""
    # The kernels read the channels of a position from adjacent memory.
    report = f"{len(convolutions)} 3x3 convolutions in float32, with a quarter to half of the multiplications"
    return replace(program, winograd=convolutions, channels_last=True), report
