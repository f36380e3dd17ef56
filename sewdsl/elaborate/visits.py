"""What each place of a text became: for editors, which show a layer's facts where it is written."""

from __future__ import annotations

from typing import NamedTuple

from sewdsl.ir.network import PathStep
from sewdsl.source import Span


class Expansion(NamedTuple):
    """One expansion of an item of a text: a layer, a repeat, a join or the call of a block.

    Attributes:
        span: Where it is written.
        path: The way to it through repeats, blocks and joins.
        before: Index of the node that flows into it; None behind something broken.
        begin: Index of its first node, if it has nodes.
        end: Index behind its last node.
        after: Index of the node that flows out of it; None if it is broken.
    """

    span: Span
    path: tuple[PathStep, ...]
    before: int | None
    begin: int
    end: int
    after: int | None
