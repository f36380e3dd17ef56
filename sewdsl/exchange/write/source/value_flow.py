"""The network as its names nest: layers in blocks, repeats and branches, and how values pass from one to the next."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import field, replace
from itertools import count, filterfalse
from typing import Literal

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.source.python_text import is_identifier
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.structure import BlockItem, Item, Items, LayerItem, MergeItem, ReadItem, RepeatItem, ValueItem, nodes
from sewdsl.light_dataclass import dataclass

INPUT, ONWARD = "x", "y"
"""The variable of a value on its way through a section; what it is called where what came in is still read later."""


@dataclass(frozen=True)
class Leaf:
    """A layer; its index in the network, and the last part of its name."""

    key: str
    index: int


@dataclass(frozen=True)
class PassThrough:
    """A value goes through the item of that key.

    Attributes:
        key: Of the item.
        reads: The variables that the item reads.
        gives: The variable of what comes out.
    """

    key: str
    reads: tuple[str, ...] = (INPUT,)
    gives: str = INPUT


@dataclass(frozen=True)
class MergePoint:
    """A value is what a merge makes of others.

    Attributes:
        node: Index of the merge.
        operands: Key of each operand; None: the value itself.
        reads: The variables that each operand reads.
        gives: The variable of what comes out.
    """

    node: int
    operands: tuple[str | None, ...]
    reads: tuple[tuple[str, ...], ...]
    gives: str = INPUT


@dataclass(frozen=True)
class SourceSection:
    """A part of the network with a name of its own.

    Attributes:
        key: The part of its name that its siblings do not share.
        kind: What it is; a ``repeat`` holds nothing but each ``copy``.
        source: Index of the node whose value goes in.
        output: Index of the node whose value comes out.
        items: What it is made of.
        flow: The way of values through them.
        title: Of a block: its name.
        arguments: Of a block: ``c128s2``.
        others: Indices of more nodes whose values go in: named values that are read inside.
        variables: What the values that go in are called.
        result: What the value that comes out is called.
    """

    key: str
    kind: Literal["network", "block", "repeat", "copy", "branch", "shortcut", "operand", "loop", "value"]
    source: int
    output: int
    items: tuple[SourceItem, ...] = ()
    flow: tuple[PassThrough | MergePoint, ...] = ()
    title: str = ""
    arguments: str = ""
    others: tuple[int, ...] = ()
    variables: tuple[str, ...] = (INPUT,)
    result: str = INPUT

    @property
    def meets(self) -> tuple[MergePoint, ...]:
        """Its merges, without those in its own sections."""
        return tuple(step for step in self.flow if isinstance(step, MergePoint))

    @property
    def straight(self) -> bool:
        """Whether one value goes through all items in a row."""
        pairs = zip(self.flow, self.items, strict=False)
        return self.variables == (INPUT,) and all(step == PassThrough(item.key) for step, item in pairs)


SourceItem = Leaf | SourceSection


def tree(network: Network, taken: Collection[str]) -> SourceSection:
    """The network as one section.

    Args:
        network: The network.
        taken: Names that no variable may have.

    Raises:
        UnsupportedLayer: a node is not named after the way to it, or a repeat reads what does not flow through it.
    """
    for node in network:
        way = [step.key for step in node.path]
        if node.name != ".".join([*way, node.name.rpartition(".")[2]]):
            raise UnsupportedLayer(node, "is not named after the repeats and blocks that it is in")
    root = _Reader(network.nodes, taken).section("", "network", network.nesting[1:], 0)
    if root.output != network.output:
        raise UnsupportedLayer(network.nodes[network.output], "is read out, but is not the last layer")
    return root


def sections(section: SourceSection) -> Iterator[SourceSection]:
    """All sections, those inside before those around them."""
    for item in section.items:
        if isinstance(item, SourceSection):
            yield from sections(item)
    yield section


@dataclass(frozen=True)
class _Step:
    """A step of a section's flow, with the nodes that are read and given in place of their variables."""

    reads: tuple[tuple[int, ...], ...]
    gives: int
    keys: tuple[str | None, ...]
    merge: int | None = None
    name: str = ""


@dataclass
class _Growing:
    """A section as far as it is read: its items, the steps of its flow, and the node whose value came out last."""

    place: int
    items: list[SourceItem] = field(default_factory=list)
    steps: list[_Step] = field(default_factory=list)

    def add(self, item: SourceItem, reads: tuple[int, ...], output: int, name: str = "") -> None:
        """One more item."""
        self.items.append(item)
        self.steps.append(_Step((reads,), output, (item.key,), name=name))
        self.place = output


class _Reader:
    def __init__(self, nodes: tuple[Node, ...], taken: Collection[str]) -> None:
        self._nodes, self._taken = nodes, taken

    def section(
        self,
        key: str,
        kind: Literal["network", "block", "repeat", "copy", "branch", "shortcut", "operand", "loop", "value"],
        items: Items,
        place: int,
    ) -> SourceSection:
        """A section with these items, where the value of a node flows to them."""
        reads = self._reads(items, place)
        growing = _Growing(reads[0] if reads else place)
        for item in items:
            self._add(growing, item)
        made = SourceSection(key, kind, growing.place, growing.place, tuple(growing.items))
        return self._flowing(replace(made, source=reads[0] if reads else place, others=reads[1:]), growing.steps)

    def _reads(self, items: Items, place: int) -> tuple[int, ...]:
        """The nodes outside of some items whose values they read; that whose value flows to them first."""
        inside = set(nodes(items))
        found = dict.fromkeys(
            source for i in sorted(inside) for source in self._nodes[i].inputs if source not in inside
        )
        return tuple(sorted(found, key=lambda index: index != place))

    def _flowing(self, section: SourceSection, steps: list[_Step]) -> SourceSection:
        """The section with its flow; a value that has a name, or is not read right away, has a variable of its own."""
        incoming = (section.source, *section.others)
        kept, before = dict.fromkeys(section.others), section.source
        for step in steps:
            kept |= dict.fromkeys(index for each in step.reads for index in each if index != before)
            before = step.gives
        if section.output != before:
            kept[section.output] = None
        kept |= dict.fromkeys(step.gives for step in steps if step.name)
        onward = ONWARD if section.source in kept else INPUT
        named = {step.gives: step.name for step in steps if step.name}
        free = filterfalse({*self._taken, *named.values()}.__contains__, (f"x{number}" for number in count(2)))
        variables: dict[int, str] = {section.source: INPUT}
        for index in kept:
            if index != section.source:
                name = named.get(index, "")
                good = is_identifier(name) and name not in {*self._taken, INPUT, ONWARD, "self"}
                variables[index] = name if good and name not in variables.values() else next(free)

        def called(index: int) -> str:
            return variables.get(index, onward)

        flow = tuple(
            PassThrough(step.keys[0] or "", tuple(map(called, step.reads[0])), called(step.gives))
            if step.merge is None
            else MergePoint(
                step.merge, step.keys, tuple(tuple(map(called, each)) for each in step.reads), called(step.gives)
            )
            for step in steps
        )
        return replace(section, flow=flow, variables=tuple(map(called, incoming)), result=called(section.output))

    def _add(self, growing: _Growing, item: Item) -> None:
        match item:
            case LayerItem(index):
                node = self._nodes[index]
                growing.add(Leaf(node.name.rpartition(".")[2], index), node.inputs, index)
            case MergeItem(index):
                self._merge(growing, item)
            case BlockItem(step, items):
                inner = self.section(step.key, "block", items, growing.place)
                inner = replace(inner, title=step.label, arguments=step.arguments)
                growing.add(inner, (inner.source, *inner.others), inner.output)
            case RepeatItem(steps, copies):
                source, sections = growing.place, list[SourceSection]()
                for step, copy in zip(steps, copies, strict=True):
                    entry = sections[-1].output if sections else source
                    made = self.section(step.key.rpartition(".")[2], "copy", copy, entry)
                    if (made.source, made.others) != (entry, ()) and (sections or made.others):
                        first = self._nodes[next(nodes(copy))]
                        raise UnsupportedLayer(first, "is in a repeat that reads more than what flows through it")
                    sections.append(made)
                key, source, output = steps[0].key.rpartition(".")[0], sections[0].source, sections[-1].output
                growing.add(SourceSection(key, "repeat", source, output, tuple(sections)), (source,), output)
            case ValueItem(step, items):
                inner = self.section(step.key, step.kind, items, growing.place)
                growing.add(inner, (inner.source, *inner.others), inner.output, step.key)
            case ReadItem():
                pass  # only the view by edges has these

    def _merge(self, growing: _Growing, item: MergeItem) -> None:
        reads: list[tuple[int, ...]] = []
        keys: list[str | None] = []
        for step, items, source in zip(item.steps, item.operands, self._nodes[item.node].inputs, strict=True):
            inner = self.section(step.key, step.kind, items, growing.place) if step is not None else None
            if inner is None:
                reads.append((source,))
                keys.append(None)
                continue
            if inner.output != source:
                raise UnsupportedLayer(self._nodes[item.node], "reads something else than what its operands give")
            growing.items.append(inner)
            reads.append((inner.source, *inner.others))
            keys.append(inner.key)
        growing.steps.append(_Step(tuple(reads), item.node, tuple(keys), merge=item.node))
        growing.place = item.node
