"""What is known of a network before it runs, put to use: in which steps its module computes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sewdsl.ir.network import Network
from sewdsl.passes.convolutions import find_events, use_channels_last, use_event_outputs, use_winograd
from sewdsl.passes.memory import peak_memory, training_load
from sewdsl.passes.program import ExecutionStep, Pass, Program
from sewdsl.passes.saved_values import pack_bits, recompute_values
from sewdsl.passes.steps import fold_batch_norm, fuse_neurons, hoist_static

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
    (1, "fuse", fuse_neurons),
    (2, "fold", fold_batch_norm),
    (1, "channels_last", use_channels_last),
    (1, "events", find_events),
    (2, "event_outputs", use_event_outputs),
    (2, "winograd", use_winograd),
    (1, "pack", pack_bits),
    (1, "recompute", recompute_values),
)
"""In the order in which they are applied, each with the lowest level that has it and its name.

Those of level 1 change nothing but the rounding of sums, and what is decided by their last digits: a spike, or among
equal values the way of a gradient (see ``docs/rounding.md``). Those of level 2 round
otherwise: in evaluation, and in convolutions and their gradients.
"""

LEVELS = (0, 1, 2)
"""0: every node by itself, as written; 1: the default; 2: everything."""


class PassResult(NamedTuple):
    """What a pass did."""

    name: str
    said: str
    program: Program


def run_passes(network: Network, level: int = 1) -> Iterator[PassResult]:
    """The program of a network, pass by pass; every one of them is whole.

    Raises:
        ValueError: there is no such level.
    """
    if level not in LEVELS:
        raise ValueError(f"optimize is one of {', '.join(map(str, LEVELS))}, not {level!r}")
    program = Program.of(network)
    for lowest, name, step in PASSES:
        if level >= lowest:
            program, said = step(program)
            yield PassResult(name, said, program.validate())


def optimize_program(network: Network, level: int = 1) -> Program:
    """The program after all passes of a level; see :func:`run_passes`."""
    program = Program.of(network)
    for last in run_passes(network, level):
        program = last.program
    return program


def memory_shortage(network: Network) -> int | None:
    """The least bytes that a training step is known to do with, if its recipe allows fewer; else None."""
    recipe = network.recipe
    if recipe is None or recipe.budget is None:
        return None
    least = peak_memory(optimize_program(network), training_load(recipe)).bytes
    return least if least > recipe.budget else None
