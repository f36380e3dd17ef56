"""Ranges as storage: what is known to be spikes or small counts is kept for the backward pass in a few bits each."""

from __future__ import annotations

from dataclasses import replace

from sewdsl.ir.signal import ValueRange
from sewdsl.passes.program import Program

WIDTHS = (1, 2, 4, 8)


def pack_bits(program: Program) -> tuple[Program, str]:
    """Marks nodes whose values fit into 1, 2, 4 or 8 bits.

    A layer that keeps its input for its gradient, such as a convolution after a neuron or a join, then keeps it so.

    Law: the same outputs and gradients, to the bit.
    """
    network = program.network
    bits = {i: width for i, node in enumerate(network.nodes) if (width := _width(node.output.values)) is not None}
    kept = {i for step in program.steps if not step.loop for i in step.keeps(network)} & set(bits)
    if not kept:
        return program, ""
    counts = {width: sum(bits[i] == width for i in kept) for width in WIDTHS}
    words = [f"{count} in {width} bit{'s' if width > 1 else ''} a value" for width, count in counts.items() if count]
    return replace(program, bits=bits), f"kept for the backward pass: {', '.join(words)}"


def _width(values: ValueRange) -> int | None:
    count = values.count
    return None if count is None else next((width for width in WIDTHS if count < 1 << width), None)
