"""The network as its names nest: layers in blocks, repeats and branches, and how values pass from one to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.ir.network import Network, Node, PathStep, group_by_step
from sewdsl.ir.op import Join


@dataclass(frozen=True)
class Leaf:
    """A layer; its index in the network, and the last part of its name."""

    key: str
    index: int


@dataclass(frozen=True)
class PassThrough:
    """The value goes through the item of that key."""

    key: str


@dataclass(frozen=True)
class JoinPoint:
    """The value is what a join makes of it.

    Attributes:
        join: Index of the join.
        branch: Key of the branch; None: the value itself.
        shortcut: Key of the shortcut; likewise.
    """

    join: int
    branch: str | None
    shortcut: str | None


@dataclass(frozen=True)
class SourceSection:
    """A part of the network with a name of its own.

    Attributes:
        key: The part of its name that its siblings do not share.
        kind: What it is; a ``repeat`` holds nothing but each ``copy``.
        source: Index of the node whose value goes in.
        output: Index of the node whose value comes out.
        items: What it is made of.
        flow: The way of a value through them.
        title: Of a block: its name.
        arguments: Of a block: ``c128s2``.
    """

    key: str
    kind: Literal["network", "block", "repeat", "copy", "branch", "shortcut"]
    source: int
    output: int
    items: tuple[Item, ...] = ()
    flow: tuple[PassThrough | JoinPoint, ...] = ()
    title: str = ""
    arguments: str = ""

    @property
    def meets(self) -> tuple[JoinPoint, ...]:
        """Its joins, those in its own sections aside."""
        return tuple(step for step in self.flow if isinstance(step, JoinPoint))


Item = Leaf | SourceSection


def tree(network: Network) -> SourceSection:
    """The network as one section.

    Raises:
        UnsupportedLayer: a node is not named after the way to it, or reads what does not flow to it.
    """
    for node in network:
        way = [step.key for step in node.path]
        if node.name != ".".join([*way, node.name.rpartition(".")[2]]):
            raise UnsupportedLayer(node, "is not named after the repeats and blocks that it is in")
    root = _Reader(network.nodes).section(SourceSection("", "network", 0, 0), range(1, len(network)), 0)
    if root.output != network.output:
        raise UnsupportedLayer(network.nodes[network.output], "is read out, but is not the last layer")
    return root


def sections(section: SourceSection) -> Iterator[SourceSection]:
    """All sections, those inside before those around them."""
    for item in section.items:
        if isinstance(item, SourceSection):
            yield from sections(item)
    yield section


@dataclass
class _Growing:
    """A section as far as it is read."""

    place: int
    items: list[Item] = field(default_factory=list)
    flow: list[PassThrough | JoinPoint] = field(default_factory=list)
    sides: dict[int, str] = field(default_factory=dict)

    def add(self, item: Item, output: int) -> None:
        """One more item, which the value goes through."""
        self.items.append(item)
        self.flow.append(PassThrough(item.key))
        self.place = output


class _Reader:
    def __init__(self, nodes: tuple[Node, ...]) -> None:
        self._nodes = nodes

    def section(self, empty: SourceSection, indices: Sequence[int], depth: int) -> SourceSection:
        """A section with the items that these nodes make up, which share the first ``depth`` steps of their way."""
        growing = _Growing(empty.source)
        for step, group in group_by_step(self._nodes, indices, depth):
            if step is None:
                self._layer(growing, group[0])
            elif step.kind == "repeat":
                self._copy(growing, step, group, depth)
            else:
                title, arguments = (step.label, step.arguments) if step.kind == "block" else ("", "")
                begin = SourceSection(step.key, step.kind, growing.place, 0, title=title, arguments=arguments)
                inner = self.section(begin, group, depth + 1)
                if step.kind == "block":
                    growing.add(inner, inner.output)
                else:
                    growing.items.append(inner)
                    growing.sides[inner.output] = inner.key
        return replace(empty, output=growing.place, items=tuple(growing.items), flow=tuple(growing.flow))

    def _layer(self, growing: _Growing, index: int) -> None:
        node = self._nodes[index]
        if isinstance(node.op, Join):
            branch, shortcut = (self._side(growing, node, source) for source in node.inputs)
            growing.flow.append(JoinPoint(index, branch, shortcut))
            growing.place, growing.sides = index, {}
        elif node.inputs != (growing.place,):
            raise UnsupportedLayer(node, "reads something else than what is right before it")
        else:
            growing.add(Leaf(node.name.rpartition(".")[2], index), index)

    def _side(self, growing: _Growing, node: Node, source: int) -> str | None:
        if source == growing.place:
            return None
        if source not in growing.sides:
            raise UnsupportedLayer(node, "reads something else than its branch, its shortcut and what is before them")
        return growing.sides[source]

    def _copy(self, growing: _Growing, step: PathStep, group: Sequence[int], depth: int) -> None:
        """One more copy of a repeat, or the first of another one."""
        key, _, number = step.key.rpartition(".")
        copy = self.section(SourceSection(number, "copy", growing.place, 0), group, depth + 1)
        last = growing.items[-1] if growing.items else None
        if isinstance(last, SourceSection) and last.kind == "repeat" and last.key == key:
            growing.items[-1] = replace(last, items=(*last.items, copy), output=copy.output)
            growing.place = copy.output
        else:
            growing.add(SourceSection(key, "repeat", growing.place, copy.output, (copy,)), copy.output)
