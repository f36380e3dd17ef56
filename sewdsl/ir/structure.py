"""Structure of a network as a tree of layers, merges, loops, block calls and repeats.

There are two views. :func:`nesting` follows the paths of the nodes. It has the blocks and repeats of the source, which
diagrams, source files and tables show. :func:`sewdsl.ir.wiring.wiring` follows the edges only. It has the sequences,
merges and named values from which text of the language is written. A network caches both
(:attr:`sewdsl.ir.network.Network.nesting`, :attr:`sewdsl.ir.network.Network.wiring`).

A merge has any number of operands. An operand without items is the identity. A *join* is a merge of two operands,
branch and shortcut. A *named value* is read by the sequences that start with it. A *loop* adds the feedback to the
input of the body, one time-step later.
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
    """A node with several operands, and the items of each operand."""

    node: int
    operands: tuple[Items, ...]
    """Items of each operand after the common input. Empty for an identity."""
    steps: tuple[PathStep | None, ...] = field(default=(), compare=False)
    """Path step of each operand, if any. Empty in the wiring view."""


@dataclass(frozen=True, slots=True)
class LoopItem:
    """A loop: a sum, its body, and the feedback that is added one time-step later."""

    node: int
    delay: int
    """Index of the delay at the start of the feedback."""
    body: Items
    """Items after the sum, or empty if the output of the loop is the sum."""
    feedback: Items
    """Items after the delay, or empty if the delayed value is added unchanged."""
    steps: tuple[PathStep | None, ...] = field(default=(), compare=False)
    """Path steps of body and feedback, or empty in the wiring view."""


@dataclass(frozen=True, slots=True)
class BlockItem:
    """A call of a block or a part, with its path step and its expansion, which is empty for an identity."""

    step: PathStep
    items: Items


@dataclass(frozen=True, slots=True)
class RepeatItem:
    """Consecutive copies of a repeat, and the path step of each, with its number and the number of copies."""

    steps: tuple[PathStep, ...]
    copies: tuple[Items, ...]


@dataclass(frozen=True, slots=True)
class ValueItem:
    """The items of a named value, of ``let`` or of an operand in a block call.

    Items on the path of an operand without a merge after them are a value item too. Only networks that were edited by
    hand have such items.
    """

    step: PathStep
    """Path step with the name, or ``branch``, ``shortcut`` or ``operand`` if no merge follows."""
    items: Items


@dataclass(frozen=True, slots=True)
class ReadItem:
    """A named value, by its node, at the start of a sequence. Only the wiring view has these items."""

    node: int


@dataclass(frozen=True, slots=True)
class DelayedItem:
    """A named value of the previous time-step, by its node, at the start of a sequence in the wiring view."""

    node: int
    source: int


Item = LayerItem | MergeItem | LoopItem | BlockItem | RepeatItem | ValueItem | ReadItem | DelayedItem
Items = tuple[Item, ...]


def nesting(nodes: Sequence[Node]) -> Items:
    """Return the items of a network nested by paths, starting with the input.

    Args:
        nodes: Nodes in topological order. The nodes of a block, copy or operand are consecutive.
    """
    return _nest(nodes, range(len(nodes)), 0)


def _nest(nodes: Sequence[Node], indices: Sequence[int], depth: int) -> Items:
    """Return the items of nodes that share the first ``depth`` steps of their paths."""
    items: list[Item] = []
    operands: list[ValueItem] = []
    copies: list[tuple[PathStep, Items]] = []
    feedback: ValueItem | None = None  # feedback of a loop before its sum

    def end_repeat() -> None:
        if copies:
            steps, sequences = zip(*copies, strict=True)
            items.append(RepeatItem(steps, sequences))
            copies.clear()

    for step, group in _group_by_step(nodes, indices, depth):
        # Copies of one repeat are consecutive and numbered; a restart of the numbers is another repeat.
        if copies and not (step and step.kind == "repeat" and step.copy == copies[-1][0].copy + 1):
            end_repeat()
        if step is None:
            index = group[0]
            if feedback is not None:
                delay, *after = feedback.items
                assert isinstance(delay, LayerItem)  # noqa: S101 -- checked below, where feedback is assigned
                items.append(LoopItem(index, delay.node, (), tuple(after), (None, feedback.step)))
                feedback = None
            elif len(nodes[index].inputs) > 1:
                operand_by_index = {_operand_index(operand.step): operand for operand in operands}
                # An identity operand has no nodes, and therefore no step.
                ordered = [operand_by_index.get(position) for position in range(len(nodes[index].inputs))]
                sequences = tuple(operand.items if operand else () for operand in ordered)
                items.append(
                    MergeItem(index, sequences, tuple(operand.step if operand else None for operand in ordered))
                )
            else:
                items += [*operands, LayerItem(index)]
            operands = []
            continue
        inside = _nest(nodes, group, depth + 1)
        if step.kind == "repeat":
            copies.append((step, inside))
        elif step.calls:
            items.append(BlockItem(step, inside))
        elif step.kind == "value":
            items.append(ValueItem(step, inside))
        # Only the feedback of a valid loop starts with its delay. Other loop steps are nested as values.
        elif (
            (step.kind, step.copy) == ("loop", FEEDBACK)
            and inside
            and isinstance(inside[0], LayerItem)
            and nodes[inside[0].node].feeds_back
        ):
            feedback = ValueItem(step, inside)
        # The feedback precedes the sum, and the body follows it, so the body is added to the last item.
        elif step.kind == "loop" and items and isinstance(items[-1], LoopItem) and not items[-1].body:
            items[-1] = replace(items[-1], body=inside, steps=(step, *items[-1].steps[1:]))
        else:
            operands.append(ValueItem(step, inside))
    end_repeat()
    return (*items, *((feedback,) if feedback else ()), *operands)


FEEDBACK = 2
"""Operand number of the feedback of a loop, from 1."""


def _operand_index(step: PathStep) -> int:
    """Return the index of the operand that a path step enters, from 0."""
    return step.copy - 1 if step.kind == "operand" else int(step.kind == "shortcut")


def _group_by_step(
    nodes: Sequence[Node], indices: Sequence[int], depth: int
) -> Iterator[tuple[PathStep | None, list[int]]]:
    """Group consecutive nodes by their path step at a depth. A node whose path ends there forms a group."""

    # The index is a unique key, which keeps nodes without further steps apart.
    def step(index: int) -> PathStep | int:
        path = nodes[index].path
        return path[depth] if depth < len(path) else index

    for key, group in groupby(indices, step):
        yield key if isinstance(key, PathStep) else None, list(group)


def children(item: Item) -> tuple[Items, ...]:
    """Return the sequences inside an item: one for each operand of a merge or copy of a repeat."""
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
    """Yield the nodes of a sequence, in the order of the source."""
    for item in items:
        if isinstance(item, LoopItem):
            # The delay and the feedback are computed before the sum that reads them.
            yield item.delay
            yield from nodes(item.feedback)
            yield item.node
            yield from nodes(item.body)
            continue
        for inside in children(item):
            yield from nodes(inside)
        if isinstance(item, LayerItem | MergeItem | DelayedItem):
            yield item.node
