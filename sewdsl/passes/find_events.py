"""Convolutions whose input is spikes or counts, mostly zeros: what is active can be all that is looked at."""

from __future__ import annotations

from dataclasses import replace

from sewdsl.ops.layers.conv import Conv
from sewdsl.passes.program import EventInput, Program
from sewdsl.snn.limits import EVENT_CHANNELS, MAX_EVENT_KERNEL


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
    return replace(
        program, exact=False
    ), f"so are the outputs of all {len(program.events)} convolutions, in any order of their sums"
