"""Convolutions whose input is spikes or counts, mostly zeros: what is active can be all that is looked at."""

from __future__ import annotations

from dataclasses import replace

from sewdsl.ops.layers.conv import Conv
from sewdsl.passes.program import EventInput, Program
from sewdsl.snn.limits import EVENT_CHANNELS, MAX_EVENT_KERNEL


def find_events(program: Program) -> tuple[Program, str]:
    """Marks convolutions that may be computed from the active ones of their inputs.

    How many of these there are is seen when they run: where that is more than a part, they are computed as ever.

    Law: the same outputs and gradients, to the bit. A convolution is computed so where a test of its own, once for each
    kind and size, shows that torch adds up its sums in the same order.
    """
    network = program.network
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


def use_event_gradients(program: Program) -> tuple[Program, str]:
    """Computes such convolutions so whatever the order of their sums, and the gradients of their weights too.

    Law: the same outputs and gradients, apart from rounding: the sums of the weights' gradients are in another order.
    """
    if not program.events:
        return program, ""
    return replace(program, exact=False), f"so are the gradients of the weights of {len(program.events)} convolutions"
