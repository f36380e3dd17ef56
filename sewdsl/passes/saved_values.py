"""Passes on tensors saved for the backward pass: packing and recomputation."""

from __future__ import annotations

from dataclasses import replace

from sewdsl.ir.printed_values import format_bytes
from sewdsl.ir.signal import ValueRange
from sewdsl.passes.memory import RecomputationChoice, choose_recomputation, training_load
from sewdsl.passes.program import Program

WIDTHS = (1, 2, 4, 8)
"""Supported bits per packed value."""


def pack_bits(program: Program) -> tuple[Program, str]:
    """Select the values that fit into 1, 2, 4 or 8 bits.

    A layer that saves its input, such as a convolution after a neuron, saves the packed input.

    Law: bit-identical outputs and gradients.
    """
    network = program.network
    bits = {i: width for i, node in enumerate(network.nodes) if (width := _width(node.output.values)) is not None}
    # Values inside loops are saved unchanged.
    saved = {i for step in program.steps if not step.loop for i in step.keeps(network)} & set(bits)
    if not saved:
        return program, ""
    counts = {width: sum(bits[i] == width for i in saved) for width in WIDTHS}
    parts = [f"{count} in {width} bit{'s' if width > 1 else ''}" for width, count in counts.items() if count]
    return replace(program, bits=bits), f"saved tensors: {', '.join(parts)} per value"


def _width(values: ValueRange) -> int | None:
    count = values.count
    return None if count is None else next((width for width in WIDTHS if count < 1 << width), None)


def recompute_values(program: Program) -> tuple[Program, str]:
    """Select the values to recompute if the recipe has a memory budget and the saved values exceed it.

    Of all selections within the budget, the pass takes one of minimum estimated cost. Otherwise, the pass takes the
    selection with the lowest peak.

    Law: bit-identical outputs and gradients on a CPU, if small tensors are not fused. Otherwise they are equal up to
    rounding and its consequences, as for :func:`~sewdsl.passes.steps.fuse_neurons`.
    """
    recipe = program.network.recipe
    if recipe is None or recipe.budget is None:
        return program, ""
    choice = choose_recomputation(program, training_load(recipe), recipe.budget)
    return choice.program, _describe_choice(choice, recipe.budget)


def _describe_choice(choice: RecomputationChoice, budget: int) -> str:
    peak, program = choice.peak, choice.program
    relation = "within" if choice.fits else "over"
    parts = [
        f"a training step needs {format_bytes(peak.bytes)}, {relation} the memory budget of {format_bytes(budget)}"
    ]
    if program.lean:
        parts.append("small tensors are compressed too")
    if program.recomputed:
        # A training step takes about three times the MACs of the forward pass.
        fraction = peak.recompute_macs / max(3 * sum(map(peak.sizes.macs, peak.sizes.plan.steps)), 1)
        values = "1 value is" if len(program.recomputed) == 1 else f"{len(program.recomputed)} values are"
        parts.append(f"{values} recomputed, {fraction:.1%} of a step's work")
    return "; ".join(parts)
