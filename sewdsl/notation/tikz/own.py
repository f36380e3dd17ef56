"""Calls of the blocks that a file defines itself, by the paths of its nodes: with their names, whatever is in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby

from sewdsl.elaborate.library import library
from sewdsl.ir.network import Network, Step
from sewdsl.notation.blocks import Blocks
from sewdsl.notation.fold import fold
from sewdsl.notation.text import unfolded
from sewdsl.notation.tree import Block, Item, Items, Join, first_node


def by_path(network: Network) -> tuple[Items, Items]:
    """The body of a network with calls of blocks: without repeats, and with them.

    Raises:
        Unwritable: no text of the language gives this network; the message names a node.
    """
    wording, items = unfolded(network)
    blocks = Blocks(network, wording, items)
    whole = _Paths(network, library()).sequence(blocks.named(items), 0)
    while len(whole) == 1 and isinstance(whole[0], Block):  # a network that is one call shows what it calls
        whole = whole[0].items
    return whole, fold(whole, blocks.calls)


def has_paths(network: Network) -> bool:
    """Whether the paths of nodes name any block."""
    return any(step.kind == "block" for node in network for step in node.path)


class _Paths:
    def __init__(self, network: Network, known: Mapping[str, object]) -> None:
        self._nodes, self._known = network.nodes, known

    def sequence(self, items: Items, depth: int) -> Items:
        """Looks for calls behind the first steps of the ways to the nodes."""
        return tuple(self._found(items, depth))

    def _found(self, items: Items, depth: int) -> Iterator[Item]:
        for way, group in groupby(items, lambda item: self._call(item, depth)):
            if way is not None:
                call = way[-1]
                yield Block(call.label, call.arguments.removesuffix("s1"), self.sequence(tuple(group), len(way)))
                continue
            for item in group:
                if isinstance(item, Join):
                    sides = self.sequence(item.branch, depth), self.sequence(item.shortcut, depth)
                    yield replace(item, branch=sides[0], shortcut=sides[1])
                else:
                    yield item

    def _call(self, item: Item, depth: int) -> tuple[Step, ...] | None:
        """The way to the nearest call that an item is part of, if that is of a block of the file's own."""
        node = item.node if isinstance(item, Join) else first_node(item)
        path = self._nodes[node].path
        end = next((place for place in range(depth, len(path)) if path[place].kind == "block"), None)
        return path[: end + 1] if end is not None and "".join(path[end].label.split()) not in self._known else None
