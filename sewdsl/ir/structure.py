"""How a network nests: layers, merges of operands, calls of blocks and repeats, as a tree.

There are two views. :func:`nesting` follows the paths of the nodes: blocks and repeats as they are written, which is
what diagrams, source files and tables show. :func:`wiring` follows the edges alone, whatever the nodes are called:
sequences and merges, which is what text of the language is made of. A network keeps both
(:attr:`sewdsl.ir.network.Network.nesting`, :attr:`sewdsl.ir.network.Network.wiring`).

A merge has any number of operands; one without items is the identity. A *join* is a merge of two, branch and shortcut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from sewdsl.ir.graph import Graph
from sewdsl.ir.node import Node, PathStep

MAX_MERGE_DEPTH = 100
"""Merges inside merges, as read from edges: more than --limit nesting lets anybody write, and safe to recurse into."""


@dataclass(frozen=True, slots=True)
class LayerItem:
    """A node with one input.

    Attributes:
        node: Its index.
    """

    node: int


@dataclass(frozen=True, slots=True)
class MergeItem:
    """A node with several operands, and the items of each.

    Attributes:
        node: Its index.
        operands: The items of each operand, from the common input on; none for an operand that is that input itself.
        steps: For each operand its step in the paths of its nodes; None: it has none. Read from edges, there are none.
    """

    node: int
    operands: tuple[Items, ...]
    steps: tuple[PathStep | None, ...] = field(default=(), compare=False)

    @property
    def branch(self) -> Items:
        """Operand 0 of a join."""
        return self.operands[0]

    @property
    def shortcut(self) -> Items:
        """Operand 1 of a join."""
        return self.operands[1]


@dataclass(frozen=True, slots=True)
class BlockItem:
    """A call of a block.

    Attributes:
        step: The step of the paths of its nodes: title, key, arguments.
        items: What the block represents; none for a block that is the identity.
    """

    step: PathStep
    items: Items


@dataclass(frozen=True, slots=True)
class RepeatItem:
    """Consecutive copies of a repeat.

    Attributes:
        steps: The step of each copy: its number, and of how many.
        copies: The items of each copy.
    """

    steps: tuple[PathStep, ...]
    copies: tuple[Items, ...]


@dataclass(frozen=True, slots=True)
class LooseOperand:
    """Items on the path of a merge's operand that no merge follows: only networks that were changed by hand have them.

    Attributes:
        step: ``branch``, ``shortcut`` or ``operand``.
        items: The items.
    """

    step: PathStep
    items: Items


Item = LayerItem | MergeItem | BlockItem | RepeatItem | LooseOperand
Items = tuple[Item, ...]


class UnstructuredError(ValueError):
    """The edges of a network are not those of sequences and merges.

    Args:
        node: Index of the node at which that shows; None: there is none.
        why: What is wrong with it, as the end of a sentence about it.
    """

    def __init__(self, node: int | None, why: str) -> None:
        super().__init__(why)
        self.node, self.why = node, why


def nesting(nodes: Sequence[Node]) -> Items:
    """The items of a network as its paths nest, the input first.

    Args:
        nodes: In topological order; those of one block, copy or operand are consecutive.
    """
    return _nest(nodes, range(len(nodes)), 0)


def _nest(nodes: Sequence[Node], indices: Sequence[int], depth: int) -> Items:
    """The items of nodes that share the first ``depth`` steps of their paths."""
    items: list[Item] = []
    operands: list[LooseOperand] = []
    copies: list[tuple[PathStep, Items]] = []

    def end_repeat() -> None:
        if copies:
            steps, sequences = zip(*copies, strict=True)
            items.append(RepeatItem(steps, sequences))
            copies.clear()

    for step, group in _group_by_step(nodes, indices, depth):
        if copies and not (step and step.kind == "repeat" and step.copy == copies[-1][0].copy + 1):
            end_repeat()
        if step is None:
            index = group[0]
            if len(nodes[index].inputs) > 1:
                by_place = {_operand_place(operand.step): operand for operand in operands}
                found = [by_place.get(place) for place in range(len(nodes[index].inputs))]
                sequences = tuple(operand.items if operand else () for operand in found)
                items.append(MergeItem(index, sequences, tuple(operand.step if operand else None for operand in found)))
            else:
                items += [*operands, LayerItem(index)]
            operands = []
            continue
        inside = _nest(nodes, group, depth + 1)
        if step.kind == "repeat":
            copies.append((step, inside))
        elif step.kind == "block":
            items.append(BlockItem(step, inside))
        else:
            operands.append(LooseOperand(step, inside))
    end_repeat()
    return (*items, *operands)


def _operand_place(step: PathStep) -> int:
    """Which operand of its merge a step leads into, from 0."""
    return step.copy - 1 if step.kind == "operand" else int(step.kind == "shortcut")


def _group_by_step(
    nodes: Sequence[Node], indices: Sequence[int], depth: int
) -> Iterator[tuple[PathStep | None, list[int]]]:
    """Nodes in a row by the step of their ways at a depth; one whose way ends there is by itself."""

    def step(index: int) -> PathStep | int:
        path = nodes[index].path
        return path[depth] if depth < len(path) else index

    for key, group in groupby(indices, step):
        yield key if isinstance(key, PathStep) else None, list(group)


def wiring(graph: Graph, output: int) -> Items:
    """The items of a network by its edges alone, without the input: layers and merges.

    The operands of a merge start at the last node that every path to the merge leads through. From a merge's operands
    up to there, and from the output up to the input, every node is met once: otherwise no sequence of items has these
    edges.

    Args:
        graph: The edges; node 0 is the input.
        output: The node that is read out.

    Raises:
        UnstructuredError: the edges are others, a node does not lead to the output, or merges nest more than
            :data:`MAX_MERGE_DEPTH` deep.
    """
    inputs, starts = graph.inputs, graph.dominators  # the item that ends with a node starts at its dominator
    items: list[Item | None] = []  # for each node, the item that ends with it
    depths: list[int] = []  # for each node, how deep merges nest in that item
    met = bytearray(len(inputs))

    def between(end: int, start: int) -> Items:
        sequence: list[Item] = []
        while end != start:
            item = items[end]
            if met[end] or item is None:
                raise UnstructuredError(end, "the paths that part after it do not meet in one join")
            met[end] = True
            sequence.append(item)
            end = starts[end]
        return tuple(reversed(sequence))

    def deepest(end: int, start: int) -> int:
        found = 0
        while end != start:
            found = max(found, depths[end])
            end = starts[end]
        return found

    for index, sources in enumerate(inputs):
        depth = 0
        item: Item | None = None
        if len(sources) == 1:
            item = LayerItem(index)
        elif sources:
            depth = 1 + max(deepest(source, starts[index]) for source in sources)
            if depth > MAX_MERGE_DEPTH:
                raise UnstructuredError(index, f"joins nest more than {MAX_MERGE_DEPTH} deep")
            item = MergeItem(index, tuple(between(source, starts[index]) for source in sources))
        elif index:
            raise UnstructuredError(index, "it reads nothing")
        items.append(item)
        depths.append(depth)
    found = between(output, 0)
    idle = met.find(0, 1)
    if idle >= 0:
        raise UnstructuredError(idle, "its value does not reach the output")
    return found


def children(item: Item) -> tuple[Items, ...]:
    """The sequences inside an item: none in a layer, one for each operand of a merge or copy of a repeat."""
    match item:
        case LayerItem():
            return ()
        case MergeItem(_, operands):
            return operands
        case RepeatItem(_, copies):
            return copies
        case BlockItem(_, items) | LooseOperand(_, items):
            return (items,)


def nodes(items: Items) -> Iterator[int]:
    """The nodes of a sequence, in topological order if they were made in the order in which they are written."""
    for item in items:
        for inside in children(item):
            yield from nodes(inside)
        if isinstance(item, LayerItem | MergeItem):
            yield item.node
