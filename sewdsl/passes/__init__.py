"""What is known of a network before it runs, put to use: in which steps its module computes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sewdsl.ir.network import Network
from sewdsl.passes.channels_last import channels_last
from sewdsl.passes.fold import fold
from sewdsl.passes.fuse import fuse
from sewdsl.passes.hoist import hoist
from sewdsl.passes.memory import load_of, peak
from sewdsl.passes.pack import pack
from sewdsl.passes.program import Pass, Program, Step
from sewdsl.passes.recompute import recompute

__all__ = ["LEVELS", "PASSES", "Applied", "Program", "Step", "applied", "optimized", "shortage"]

PASSES: tuple[tuple[int, Pass], ...] = ((1, hoist), (1, fuse), (2, fold), (1, channels_last), (1, pack), (1, recompute))
"""In the order in which they are applied, each with the lowest level that has it.

Those of level 1 change nothing but the rounding of sums, and what is decided by their last digits: a spike, or among
equal values the way of a gradient (see "Apart from rounding" in ``docs/performance.md``). Those of level 2 round
otherwise in evaluation.
"""

LEVELS = (0, 1, 2)
"""0: every node by itself, as written; 1: the default; 2: everything."""


class Applied(NamedTuple):
    """What a pass did.

    Attributes:
        name: Of the pass.
        said: In a sentence; empty: nothing.
        program: After it.
    """

    name: str
    said: str
    program: Program


def applied(network: Network, level: int = 1) -> Iterator[Applied]:
    """The program of a network, pass by pass; every one of them is whole.

    Args:
        network: What to compute.
        level: One of :data:`LEVELS`.

    Raises:
        ValueError: there is no such level.
    """
    if level not in LEVELS:
        message = f"optimize is one of {', '.join(map(str, LEVELS))}, not {level!r}"
        raise ValueError(message)
    program = Program.of(network)
    for lowest, step in PASSES:
        if level >= lowest:
            program, said = step(program)
            yield Applied(step.__name__, said, program.validate())


def optimized(network: Network, level: int = 1) -> Program:
    """The program after all passes of a level; see :func:`applied`."""
    program = Program.of(network)
    for last in applied(network, level):
        program = last.program
    return program


def shortage(network: Network) -> int | None:
    """The least bytes that a training step is known to do with, if its recipe allows fewer; else None."""
    recipe = network.recipe
    if recipe is None or recipe.budget is None:
        return None
    least = peak(optimized(network), load_of(recipe)).bytes
    return least if least > recipe.budget else None
