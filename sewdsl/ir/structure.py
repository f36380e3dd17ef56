"""How a network nests: layers, merges of operands, calls of blocks and repeats, as a tree.

There are two views. :func:`nesting` follows the paths of the nodes: blocks and repeats as they are written, which is
what diagrams, source files and tables show. :func:`wiring` follows the edges alone, whatever the nodes are called:
sequences, merges and named values, which is what text of the language is made of. A network keeps both
(:attr:`sewdsl.ir.network.Network.nesting`, :attr:`sewdsl.ir.network.Network.wiring`).

A merge has any number of operands; one without items is the identity. A *join* is a merge of two, branch and shortcut.
A *named value* is read by sequences that begin with it, wherever they are.
"""

from __future__ import annotations

from collections import Counter
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
class ValueItem:
    """The items of a named value, of ``let`` or of an operand in the call of a block.

    Items on the path of a merge's operand that no merge follows are one too: only networks that were changed by hand
    have them.

    Attributes:
        step: Its name; ``branch``, ``shortcut`` or ``operand`` where no merge follows.
        items: The items.
    """

    step: PathStep
    items: Items


@dataclass(frozen=True, slots=True)
class ReadItem:
    """A named value, at the beginning of a sequence; only edges have these, since paths do not say what is read.

    Attributes:
        node: Index of the node that gives the value.
    """

    node: int


Item = LayerItem | MergeItem | BlockItem | RepeatItem | ValueItem | ReadItem
Items = tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Sequences:
    """What text of the language says of a network: the sequences of its named values, and of its output.

    A sequence begins with the input, unless its first item is a named value or a merge of these.

    Attributes:
        values: The node and the sequence of each named value, in order of computation.
        body: The sequence that is read out.
    """

    values: tuple[tuple[int, Items], ...]
    body: Items


class UnstructuredError(ValueError):
    """The edges of a network are not those of a text.

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
    operands: list[ValueItem] = []
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
        elif step.kind == "value":
            items.append(ValueItem(step, inside))
        else:
            operands.append(ValueItem(step, inside))
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


def wiring(graph: Graph, output: int) -> Sequences:
    """The sequences of a network by its edges alone, without the input: layers, merges and named values.

    The operands of a merge begin at the last node that every path to the merge leads through. Where that leads through
    a node more than once, its value is named: text writes it once, as ``let``.

    Args:
        graph: The edges; node 0 is the input.
        output: The node that is read out.

    Raises:
        UnstructuredError: a value does not reach the output, or merges nest more than :data:`MAX_MERGE_DEPTH` deep.
    """
    inputs, starts = graph.inputs, graph.dominators  # the item that ends with a node starts at its dominator
    named = _named(graph, output)
    items: list[Item | None] = []  # for each node, the item that ends with it
    depths: list[int] = []  # for each node, how deep merges nest in that item
    alone: list[bool] = []  # for each node, whether that item needs nothing to flow in: its operands begin with names
    met = bytearray(len(inputs))

    def between(end: int, start: int) -> tuple[Items, int, bool]:
        """The items from one node on up to another, how deep merges nest in them, and whether they need no start."""
        sequence: list[Item] = []
        deepest = 0
        while end != start:
            item = items[end]
            if end in named and (sequence or end not in giving):
                sequence.append(ReadItem(end))
                break
            if item is None:
                raise UnstructuredError(end, "it reads nothing")
            sequence.append(item)
            met[end] = True
            deepest = max(deepest, depths[end])
            if alone[end]:
                break
            end = starts[end]
        else:
            return tuple(reversed(sequence)), deepest, False
        return tuple(reversed(sequence)), deepest, True

    giving: set[int] = set()  # the named value whose own sequence is being made: it is not read there
    for index, sources in enumerate(inputs):
        depth, by_itself = 0, False
        item: Item | None = None
        if len(sources) == 1:
            item = LayerItem(index)
        elif sources:
            operands = [between(source, starts[index]) for source in sources]
            depth = 1 + max(inside for _, inside, _ in operands)
            if depth > MAX_MERGE_DEPTH:
                raise UnstructuredError(index, f"joins nest more than {MAX_MERGE_DEPTH} deep")
            item = MergeItem(index, tuple(sequence for sequence, _, _ in operands))
            by_itself = all(no_start for _, _, no_start in operands)
        elif index:
            raise UnstructuredError(index, "it reads nothing")
        items.append(item)
        depths.append(depth)
        alone.append(by_itself)
    values: dict[int, Items] = {}
    for index in sorted(named):
        giving.add(index)
        values[index] = between(index, 0)[0]
        giving.clear()
    body = between(output, 0)[0]
    idle = met.find(0, 1)
    if idle >= 0:
        raise UnstructuredError(idle, "its value does not reach the output")
    reads = Counter(item.node for sequence in (*values.values(), body) for item in _read(sequence))
    for index, sequence in list(values.items()):  # what is read once, by a whole sequence, is part of that
        if (first := _first_read(sequence)) is not None and reads[first] == 1:
            values[index] = (*values.pop(first), *sequence[1:])
    if (first := _first_read(body)) is not None and reads[first] == 1:
        body = (*values.pop(first), *body[1:])
    return Sequences(tuple(values.items()), body)


def _first_read(sequence: Items) -> int | None:
    """The named value that a sequence begins with."""
    return sequence[0].node if sequence and isinstance(sequence[0], ReadItem) else None


def _read(sequence: Items) -> Iterator[ReadItem]:
    """The named values that are read anywhere in a sequence."""
    for item in sequence:
        if isinstance(item, ReadItem):
            yield item
        for inside in children(item):
            yield from _read(inside)


def _named(graph: Graph, output: int) -> set[int]:
    """The nodes that sequences lead through more than once.

    Each sequence is followed from its end back to where it begins, or to a node that another one has led through. That
    node is then named, and its own sequence goes on from where the other one began, back to the input.
    """
    inputs, starts = graph.inputs, graph.dominators
    begun: list[int | None] = [None] * len(inputs)  # where the sequence begins that leads through a node
    named: set[int] = set()
    todo = [(source, starts[index]) for index, sources in enumerate(inputs) if len(sources) > 1 for source in sources]
    todo.append((output, 0))
    todo.reverse()
    while todo:
        end, start = todo.pop()
        while end not in {start, 0}:
            other = begun[end]
            if other is None:
                begun[end] = start
                end = starts[end]
                continue
            if end not in named:
                named.add(end)
                begun[end] = 0
                todo.append((other, 0))
            break
    return named


def children(item: Item) -> tuple[Items, ...]:
    """The sequences inside an item: none in a layer, one for each operand of a merge or copy of a repeat."""
    match item:
        case LayerItem() | ReadItem():
            return ()
        case MergeItem(_, operands):
            return operands
        case RepeatItem(_, copies):
            return copies
        case BlockItem(_, items) | ValueItem(_, items):
            return (items,)


def nodes(items: Items) -> Iterator[int]:
    """The nodes of a sequence, in topological order if they were made in the order in which they are written."""
    for item in items:
        for inside in children(item):
            yield from nodes(inside)
        if isinstance(item, LayerItem | MergeItem):
            yield item.node
