"""How a network nests: layers, merges of operands, loops, calls of blocks and repeats, as a tree.

There are two views. :func:`nesting` follows the paths of the nodes: blocks and repeats as they are written, which is
what diagrams, source files and tables show. :func:`sewdsl.ir.wiring.wiring` follows the edges alone, whatever the nodes
are called: sequences, merges and named values, which is what text of the language is made of. A network keeps both
(:attr:`sewdsl.ir.network.Network.nesting`, :attr:`sewdsl.ir.network.Network.wiring`).

A merge has any number of operands; one without items is the identity. A *join* is a merge of two, branch and shortcut.
A *named value* is read by sequences that begin with it, wherever they are. A *loop* adds what its feedback gives to
what flows into its body, a time-step later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field, replace
from itertools import groupby

from sewdsl.ir.node import Node, PathStep
from sewdsl.light_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class LayerItem:
    """A node with one input."""

    node: int


@dataclass(frozen=True, slots=True)
class MergeItem:
    """A node with several operands, and the items of each.

    Attributes:
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
class LoopItem:
    """A loop: a sum, its body, and the feedback that the sum adds, a time-step later.

    Attributes:
        delay: Index of the delay that the feedback begins with.
        body: The items from the sum on; none where the loop gives the sum itself.
        feedback: The items from the delay on; none where it gives back what it reads.
        steps: The steps of body and feedback in the paths of their nodes. Read from edges, there are none.
    """

    node: int
    delay: int
    body: Items
    feedback: Items
    steps: tuple[PathStep | None, ...] = field(default=(), compare=False)


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


@dataclass(frozen=True, slots=True)
class DelayedItem:
    """A named value of the time-step before, at the beginning of a sequence; only edges have these, as ``ReadItem``.

    Attributes:
        source: Index of the node that gives the value.
    """

    node: int
    source: int


Item = LayerItem | MergeItem | LoopItem | BlockItem | RepeatItem | ValueItem | ReadItem | DelayedItem
Items = tuple[Item, ...]


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
    feedback: ValueItem | None = None  # of the loop whose sum comes next

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
            if feedback is not None:
                delay, *behind = feedback.items
                assert isinstance(delay, LayerItem)  # noqa: S101 -- as was seen
                items.append(LoopItem(index, delay.node, (), tuple(behind), (None, feedback.step)))
                feedback = None
            elif len(nodes[index].inputs) > 1:
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
        elif (
            (step.kind, step.copy) == ("loop", FEEDBACK)
            and inside
            and isinstance(inside[0], LayerItem)
            and nodes[inside[0].node].feeds_back
        ):
            feedback = ValueItem(step, inside)
        elif step.kind == "loop" and items and isinstance(items[-1], LoopItem) and not items[-1].body:
            items[-1] = replace(items[-1], body=inside, steps=(step, *items[-1].steps[1:]))
        else:
            operands.append(ValueItem(step, inside))
    end_repeat()
    return (*items, *((feedback,) if feedback else ()), *operands)


FEEDBACK = 2
"""Which operand of a loop its feedback is, from 1."""


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


def children(item: Item) -> tuple[Items, ...]:
    """The sequences inside an item: none in a layer, one for each operand of a merge or copy of a repeat."""
    match item:
        case LayerItem() | ReadItem() | DelayedItem():
            return ()
        case MergeItem(_, operands):
            return operands
        case LoopItem():
            return (item.feedback, item.body)
        case RepeatItem(_, copies):
            return copies
        case BlockItem(_, items) | ValueItem(_, items):
            return (items,)


def nodes(items: Items) -> Iterator[int]:
    """The nodes of a sequence, in topological order if they were made in the order in which they are written."""
    for item in items:
        if isinstance(item, LoopItem):
            yield item.delay
            yield from nodes(item.feedback)
            yield item.node
            yield from nodes(item.body)
            continue
        for inside in children(item):
            yield from nodes(inside)
        if isinstance(item, LayerItem | MergeItem | DelayedItem):
            yield item.node
