"""Optimization passes: from a network to a program of execution steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sewdsl.ir.network import Network
from sewdsl.passes.convolutions import find_events, use_channels_last, use_event_outputs, use_winograd
from sewdsl.passes.memory import peak_memory, training_load
from sewdsl.passes.program import ExecutionStep, Pass, Program
from sewdsl.passes.saved_values import pack_bits, recompute_values
from sewdsl.passes.steps import fold_batch_norm, fuse, hoist_static

__all__ = [
    "LEVELS",
    "PASSES",
    "ExecutionStep",
    "PassResult",
    "Program",
    "memory_shortage",
    "optimize_program",
    "run_passes",
]

PASSES: tuple[tuple[int, str, Pass], ...] = (
    (1, "hoist", hoist_static),
    (1, "fuse", fuse),
    (2, "fold", fold_batch_norm),
    (1, "channels_last", use_channels_last),
    (1, "events", find_events),
    (2, "event_outputs", use_event_outputs),
    (2, "winograd", use_winograd),
    (1, "pack", pack_bits),
    (1, "recompute", recompute_values),
)
"""Passes in order, each with the lowest optimization level that includes it, and its name.

Results of level 1 are equal to those of level 0, except for the rounding of sums and its consequences: a spike, or the
selected one of several equal maxima (see ``docs/rounding.md``). Level 2 also changes
rounding in evaluation, and in convolutions and their gradients.
"""

LEVELS = (0, 1, 2)
"""Optimization levels. 0: compute node by node. 1: default passes. 2: all passes."""


class PassResult(NamedTuple):
    """Result of a pass, and a description of its changes for users, which may be empty."""

    name: str
    report: str
    program: Program


def run_passes(network: Network, level: int = 1) -> Iterator[PassResult]:
    """Yield the program of a network after each pass, or raise ValueError for an unknown level."""
    if level not in LEVELS:
        raise ValueError(f"optimize must be one of {', '.join(map(str, LEVELS))}, got {level!r}")
    program = Program.of(network)
    for lowest, name, apply_pass in PASSES:
        if level >= lowest:
            program, report = apply_pass(program)
            # Every program is validated, so that an error is attributed to its pass.
            yield PassResult(name, report, program.validate())


def optimize_program(network: Network, level: int = 1) -> Program:
    """Return the program of a network after all passes of a level (see :func:`run_passes`)."""
    program = Program.of(network)
    for result in run_passes(network, level):
        program = result.program
    return program


def memory_shortage(network: Network) -> int | None:
    """Return the minimum memory of a training step in bytes, if it exceeds the budget of the recipe, else None."""
    recipe = network.recipe
    if recipe is None or recipe.budget is None:
        return None
    # The passes include 'recompute', so this is the minimum found by its search.
    minimum = peak_memory(optimize_program(network), training_load(recipe)).bytes
    return minimum if minimum > recipe.budget else None
