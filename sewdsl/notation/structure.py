"""From the flat network to sequences and joins, by the edges alone."""

from __future__ import annotations

from collections.abc import Callable

from sewdsl.ir.network import Network, Node
from sewdsl.ir.op import Activation
from sewdsl.ir.op import Join as JoinOp
from sewdsl.ir.op import Layer as LayerOp
from sewdsl.notation.tree import Item, Items, JoinText, LayerText
from sewdsl.notation.unwritable import UnwritableNetwork
from sewdsl.ops.input import Input

MAX_JOIN_DEPTH = 100
"""Joins inside joins: beyond what --limit nesting lets anybody read with ease, and safe to recurse into."""


def network_items(network: Network, words: Callable[[int], str] = lambda _: "") -> Items:
    """What stands in the body of a network.

    A join's branch and shortcut begin at the last node that all ways to the join lead through. Walking up from a join's
    operands to there, every node is met by exactly one join, or by the output: otherwise no text gives this network.

    Args:
        network: Its nodes; paths are not looked at.
        words: The text of the node at an index: ``c32k3s1``, or the name of a join; none where only the order counts.

    Raises:
        Unwritable: no text gives these nodes with these edges.
    """
    return _Structure(network, words).body()


class _Structure:
    def __init__(self, network: Network, words: Callable[[int], str]) -> None:
        self._nodes, self._output, self._words = network.nodes, network.output, words
        self._items: list[Item] = []  # for each node but the input, the item that ends with it
        self._before: list[int] = []  # for each node, the place that its item begins at
        self._depths: list[int] = []  # for each node, how deep its item nests
        self._taken = bytearray(len(self._nodes))

    def body(self) -> Items:
        if not self._nodes or not isinstance(self._nodes[0].op, Input):
            raise UnwritableNetwork(self._nodes[0] if self._nodes else None, "a network begins with its input")
        for index, node in enumerate(self._nodes):
            self._add(index, node)
        items = self._way(self._output, 0)
        idle = self._taken.find(0, 1)
        if idle >= 0:
            raise UnwritableNetwork(self._nodes[idle], "what it gives does not reach the output")
        return items

    def _add(self, index: int, node: Node) -> None:
        """Makes the item of the next node."""
        before, depth = index, 0
        if isinstance(node.op, JoinOp):
            branch, shortcut = node.inputs
            before = self._fork(branch, shortcut)
            depth = 1 + max(self._deepest(branch, before), self._deepest(shortcut, before))
            if depth > MAX_JOIN_DEPTH:
                raise UnwritableNetwork(node, f"joins nest more than {MAX_JOIN_DEPTH} deep")
            sides = self._way(branch, before), self._way(shortcut, before)
            self._items.append(JoinText(self._words(index), *sides, node.op, index))
        elif index:
            if not isinstance(node.op, LayerOp | Activation) or len(node.inputs) != 1:
                raise UnwritableNetwork(node, "only layers, activations and joins stand behind the input")
            (before,) = node.inputs
            self._items.append(LayerText(self._words(index), node.op, index))
        self._before.append(before)
        self._depths.append(depth)

    def _fork(self, one: int, other: int) -> int:
        """The last node that all ways to two nodes lead through."""
        while one != other:
            if one > other:
                one = self._before[one]
            else:
                other = self._before[other]
        return one

    def _deepest(self, end: int, begin: int) -> int:
        found = 0
        while end != begin:
            found = max(found, self._depths[end])
            end = self._before[end]
        return found

    def _way(self, end: int, begin: int) -> Items:
        """The items from behind a place to another."""
        items: list[Item] = []
        while end != begin:
            if self._taken[end]:
                raise UnwritableNetwork(self._nodes[end], "the ways that part behind it do not meet in one join")
            self._taken[end] = True
            items.append(self._items[end - 1])
            end = self._before[end]
        return tuple(reversed(items))
