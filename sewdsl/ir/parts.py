"""Calls of parts in a network: their nodes, and the values that their operands read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from sewdsl.ir.node import Node, PathStep
from sewdsl.ir.wiring import UnstructuredError
from sewdsl.light_dataclass import dataclass

Path = tuple[PathStep, ...]
Slot = tuple[int, int]
"""Position of a node in a call, and the position of one of its inputs."""


@dataclass(frozen=True)
class SharedCall:
    """Call of a part."""

    path: Path
    """Path to the call, which ends with the step of the part."""
    nodes: tuple[int, ...]
    """Its nodes, in an order that is the same for all calls."""
    reads: Mapping[Slot, int]
    """Outside node that each slot reads."""

    @cached_property
    def positions(self) -> dict[int, int]:
        """Position of each node in the call."""
        return {index: position for position, index in enumerate(self.nodes)}


@dataclass(frozen=True)
class SharedPart:
    """Part with all its calls. Slots that read equal nodes in each call are one operand."""

    title: str
    calls: tuple[SharedCall, ...]
    operands: tuple[tuple[Slot, ...], ...]

    def arguments(self, call: SharedCall) -> tuple[int, ...]:
        """Return the outside node that each operand reads in a call."""
        return tuple(call.reads[slots[0]] for slots in self.operands)


def find_parts(nodes: Sequence[Node]) -> dict[str, SharedPart]:
    """Return the parts of a network by title, in order of first calls, or raise UnstructuredError if calls differ."""
    indices: dict[Path, list[int]] = {}
    for index, node in enumerate(nodes):
        for depth, step in enumerate(node.path, 1):
            if step.kind == "part":
                indices.setdefault(node.path[:depth], []).append(index)
    calls: dict[str, list[SharedCall]] = {}
    for path, inside in indices.items():
        calls.setdefault(path[-1].label, []).append(_call(nodes, path, inside))
    return {title: _part(nodes, title, of_part) for title, of_part in calls.items()}


def _call(nodes: Sequence[Node], path: Path, indices: Sequence[int]) -> SharedCall:
    # Keys of inner calls are numbered through, so their labels count.
    inner = {
        index: [step.label if step.kind == "part" else step.key for step in nodes[index].path[len(path) :]]
        for index in indices
    }
    ordered = tuple(sorted(indices, key=lambda index: (inner[index], index)))
    reads = {
        (position, operand): source
        for position, index in enumerate(ordered)
        for operand, source in enumerate(nodes[index].inputs)
        if source not in inner
    }
    return SharedCall(path, ordered, reads)


def _part(nodes: Sequence[Node], title: str, calls: Sequence[SharedCall]) -> SharedPart:
    first = calls[0]
    form = [*_form(nodes, first)]
    for call in calls[1:]:
        if call.reads.keys() != first.reads.keys() or [*_form(nodes, call)] != form:
            raise UnstructuredError(call.nodes[0], f"the calls of {title} differ")
    groups: dict[tuple[int, ...], list[Slot]] = {}
    # Operands are computed in order, before the call.
    for slot in sorted(first.reads, key=lambda slot: (first.reads[slot], first.nodes[slot[0]], slot[1])):
        groups.setdefault(tuple(call.reads[slot] for call in calls), []).append(slot)
    return SharedPart(title, tuple(calls), tuple(map(tuple, groups.values())))


def _form(nodes: Sequence[Node], call: SharedCall) -> Iterator[tuple[object, ...]]:
    """Yield what the nodes of a call have in common with those of each other call."""
    for index in call.nodes:
        node = nodes[index]
        owner = index if node.weights is None else node.weights
        yield node.op, owner, *(call.positions.get(source) for source in node.sources)
