"""The network as its names nest: layers in blocks, repeats and branches, and how values pass from one to the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.structure import BlockItem, Item, Items, LayerItem, LooseOperand, MergeItem, RepeatItem


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
class MergePoint:
    """The value is what a merge makes of it.

    Attributes:
        node: Index of the merge.
        operands: Key of each operand; None: the value itself.
    """

    node: int
    operands: tuple[str | None, ...]


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
    kind: Literal["network", "block", "repeat", "copy", "branch", "shortcut", "operand"]
    source: int
    output: int
    items: tuple[SourceItem, ...] = ()
    flow: tuple[PassThrough | MergePoint, ...] = ()
    title: str = ""
    arguments: str = ""

    @property
    def meets(self) -> tuple[MergePoint, ...]:
        """Its merges, without those in its own sections."""
        return tuple(step for step in self.flow if isinstance(step, MergePoint))


SourceItem = Leaf | SourceSection


def tree(network: Network) -> SourceSection:
    """The network as one section.

    Raises:
        UnsupportedLayer: a node is not named after the way to it, or reads what does not flow to it.
    """
    for node in network:
        way = [step.key for step in node.path]
        if node.name != ".".join([*way, node.name.rpartition(".")[2]]):
            raise UnsupportedLayer(node, "is not named after the repeats and blocks that it is in")
    root = _Reader(network.nodes).section(SourceSection("", "network", 0, 0), network.nesting[1:])
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
    items: list[SourceItem] = field(default_factory=list)
    flow: list[PassThrough | MergePoint] = field(default_factory=list)

    def add(self, item: SourceItem, output: int) -> None:
        """One more item, which the value goes through."""
        self.items.append(item)
        self.flow.append(PassThrough(item.key))
        self.place = output


class _Reader:
    def __init__(self, nodes: tuple[Node, ...]) -> None:
        self._nodes = nodes

    def section(self, empty: SourceSection, items: Items) -> SourceSection:
        """A section with these items."""
        growing = _Growing(empty.source)
        for item in items:
            self._add(growing, item)
        return replace(empty, output=growing.place, items=tuple(growing.items), flow=tuple(growing.flow))

    def _add(self, growing: _Growing, item: Item) -> None:
        match item:
            case LayerItem(index):
                node = self._nodes[index]
                if node.inputs != (growing.place,):
                    raise UnsupportedLayer(node, "reads something else than what is right before it")
                growing.add(Leaf(node.name.rpartition(".")[2], index), index)
            case MergeItem(index):
                self._merge(growing, item)
            case BlockItem(step, items):
                begin = SourceSection(step.key, "block", growing.place, 0, title=step.label, arguments=step.arguments)
                inner = self.section(begin, items)
                growing.add(inner, inner.output)
            case RepeatItem(steps, copies):
                source, sections = growing.place, list[SourceSection]()
                for step, copy in zip(steps, copies, strict=True):
                    entry = sections[-1].output if sections else source
                    sections.append(self.section(SourceSection(step.key.rpartition(".")[2], "copy", entry, 0), copy))
                key, output = steps[0].key.rpartition(".")[0], sections[-1].output
                growing.add(SourceSection(key, "repeat", source, output, tuple(sections)), output)
            case LooseOperand(step, items):
                growing.items.append(self.section(SourceSection(step.key, step.kind, growing.place, 0), items))

    def _merge(self, growing: _Growing, item: MergeItem) -> None:
        node = self._nodes[item.node]
        sides: dict[int, str] = {}
        for step, items in zip(item.steps, item.operands, strict=True):
            if step is not None:
                inner = self.section(SourceSection(step.key, step.kind, growing.place, 0), items)
                growing.items.append(inner)
                sides[inner.output] = inner.key
        if any(source != growing.place and source not in sides for source in node.inputs):
            raise UnsupportedLayer(node, "reads something else than its operands and what is before them")
        operands = tuple(None if source == growing.place else sides[source] for source in node.inputs)
        growing.flow.append(MergePoint(item.node, operands))
        growing.place = item.node
