"""What is kept of values for the backward pass: a few bits of spikes and counts; nothing of what is recomputed."""

from __future__ import annotations

from dataclasses import replace

from sewdsl.ir.printed_values import format_bytes
from sewdsl.ir.signal import ValueRange
from sewdsl.passes.memory import RecomputationChoice, choose_recomputation, training_load
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


def recompute_values(program: Program) -> tuple[Program, str]:
    """Marks the values that are not kept, if the recipe says how much memory there is and not all of them fit.

    Of all sets of values that make the step fit, it takes one that costs least to compute again, as far as can be known
    before anything runs; where none fits, the one that takes least.

    Law: the same outputs and gradients, on a CPU to the bit where no small tensors have to be spared; where they have,
    apart from rounding and what is decided by it, as of :func:`~sewdsl.passes.steps.fuse_neurons`.
    """
    recipe = program.network.recipe
    if recipe is None or recipe.budget is None:
        return program, ""
    choice = choose_recomputation(program, training_load(recipe), recipe.budget)
    return choice.program, _said(choice, recipe.budget)


def _said(choice: RecomputationChoice, budget: int) -> str:
    peak, program = choice.peak, choice.program
    fits = "fits" if choice.fits else "does not fit"
    words = [f"a training step takes {format_bytes(peak.bytes)}, which {fits} into {format_bytes(budget)}"]
    if program.lean:
        words.append("less is stored of small tensors too")
    if program.again:
        share = peak.again / max(3 * sum(map(peak.sizes.macs, peak.sizes.plan.steps)), 1)
        values = "1 value is" if len(program.again) == 1 else f"{len(program.again)} values are"
        words.append(f"{values} computed again, {share:.1%} of a step's work")
    return "; ".join(words)
