"""Calls of the blocks that a file defines itself, by the paths of its nodes: with their names, whatever is in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby

from sewdsl.elaborate.library import shipped_blocks
from sewdsl.ir.network import Network, PathStep
from sewdsl.notation.blocks import Blocks
from sewdsl.notation.fold import fold_repeats
from sewdsl.notation.text import body_unfolded
from sewdsl.notation.tree import BlockText, Item, Items, JoinText, first_node


def calls_by_path(network: Network) -> tuple[Items, Items]:
    """The body of a network with calls of blocks: without repeats, and with them.

    Raises:
        Unwritable: no text of the language gives this network; the message names a node.
    """
    wording, items = body_unfolded(network)
    blocks = Blocks(network, wording, items)
    whole = _Paths(network, shipped_blocks()).sequence(blocks.named(items), 0)
    while len(whole) == 1 and isinstance(whole[0], BlockText):  # a network that is one call shows what it calls
        whole = whole[0].items
    return whole, fold_repeats(whole, blocks.calls)


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
                yield BlockText(call.label, call.arguments.removesuffix("s1"), self.sequence(tuple(group), len(way)))
                continue
            for item in group:
                if isinstance(item, JoinText):
                    sides = self.sequence(item.branch, depth), self.sequence(item.shortcut, depth)
                    yield replace(item, branch=sides[0], shortcut=sides[1])
                else:
                    yield item

    def _call(self, item: Item, depth: int) -> tuple[PathStep, ...] | None:
        """The way to the nearest call that an item is part of, if that is of a block of the file's own."""
        node = item.node if isinstance(item, JoinText) else first_node(item)
        path = self._nodes[node].path
        end = next((place for place in range(depth, len(path)) if path[place].kind == "block"), None)
        return path[: end + 1] if end is not None and "".join(path[end].label.split()) not in self._known else None
