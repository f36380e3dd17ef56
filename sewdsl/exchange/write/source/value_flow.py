"""The network as its names nest: layers in blocks, repeats and branches, and how values pass from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import field, replace
from itertools import count, filterfalse
from typing import Literal, NamedTuple

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.source.expressions import is_identifier
from sewdsl.ir.network import Network
from sewdsl.ir.node import PathStep
from sewdsl.ir.structure import (
    BlockItem,
    Item,
    Items,
    LayerItem,
    LoopItem,
    MergeItem,
    ReadItem,
    RepeatItem,
    ValueItem,
    nodes,
)
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.layers.norms import BatchNorm

INPUT, ONWARD = "x", "y"
"""The variable of a value on its way through a section; what it is called where what came in is still read later."""


@dataclass(frozen=True)
class Leaf:
    """A layer; its index in the network, and the last part of its name."""

    key: str
    index: int


@dataclass(frozen=True)
class FlowStep:
    """A value goes through an item, or is what a merge makes of others.

    Attributes:
        keys: Key of the item, or of each operand of the merge; None: the value itself.
        reads: The variables that the item, or each operand, reads.
        gives: The variable of what comes out.
        merge: Index of the merge; None: the value goes through one item.
    """

    keys: tuple[str | None, ...]
    reads: tuple[tuple[str, ...], ...] = ((INPUT,),)
    gives: str = INPUT
    merge: int | None = None


Kind = Literal["network", "block", "repeat", "copy", "branch", "shortcut", "operand", "loop", "value"]
"""What a section is."""


@dataclass(frozen=True)
class StepLoop:
    """Steps of a flow that are computed one time-step after the other.

    Attributes:
        begin: Index of the first step in the flow.
        end: Index after the last step.
        reads: The variables of values from before the loop.
        gives: The variables of values that are read after the loop.
        delays: For each delay in a loop, its name in the section and the variable of the value that it delays.
    """

    begin: int
    end: int
    reads: tuple[str, ...]
    gives: tuple[str, ...]
    delays: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SourceSection:
    """A part of the network with a name of its own.

    Attributes:
        key: The part of its name that its siblings do not share.
        kind: What it is; a ``repeat`` holds nothing but each ``copy``.
        source: Index of the node whose value goes in.
        output: Index of the node whose value comes out.
        flow: The way of values through them.
        title: Of a block: its name.
        arguments: Of a block: ``c128s2``.
        others: Indices of more nodes whose values go in: named values that are read inside.
        variables: What the values that go in are called.
        result: What the value that comes out is called.
        results: Of a network of several outputs, the name of each and its variable.
        loops: The steps of the flow that are computed one time-step after the other.
        delays: As those of a loop, in a section that is part of a loop.
        inlined: Whether the section around it has its flow: it has some layers of a loop, and some that are none.
    """

    key: str
    kind: Kind
    source: int
    output: int
    items: tuple[SourceItem, ...] = ()
    flow: tuple[FlowStep, ...] = ()
    title: str = ""
    arguments: str = ""
    others: tuple[int, ...] = ()
    variables: tuple[str, ...] = (INPUT,)
    result: str = INPUT
    results: tuple[tuple[str, str], ...] = ()
    loops: tuple[StepLoop, ...] = ()
    delays: tuple[tuple[str, str], ...] = ()
    inlined: bool = False

    @property
    def merges(self) -> tuple[int, ...]:
        """Indices of its merges, without those in its own sections."""
        return tuple(step.merge for step in self.flow if step.merge is not None)

    @property
    def straight(self) -> bool:
        """Whether one value goes through all items in a row."""
        pairs = zip(self.flow, self.items, strict=False)
        if self.loops or self.delays or self.results:
            return False
        return self.variables == (INPUT,) and all(step == FlowStep((item.key,)) for step, item in pairs)


SourceItem = Leaf | SourceSection


def tree(network: Network, taken: Collection[str]) -> SourceSection:
    """Return the network as one section.

    Args:
        taken: Names that no variable may have.

    Raises:
        UnsupportedLayer: a node is not named after the way to it, or a repeat reads what does not flow through it.
    """
    for node in network:
        way = [step.key for step in node.path]
        if node.name != ".".join([*way, node.name.rpartition(".")[2]]):
            raise UnsupportedLayer(node, "is not named after the repeats and blocks that it is in")
    return _Reader(network, taken).section(("", "network", ""), network.nesting[1:], 0, 0)


@dataclass(frozen=True)
class _Step:
    """A step of a section's flow, with the nodes that are read and given in place of their variables.

    Attributes:
        inside: All nodes that the step computes.
    """

    reads: tuple[tuple[int, ...], ...]
    gives: int
    keys: tuple[str | None, ...]
    inside: frozenset[int]
    merge: int | None = None
    name: str = ""

    @property
    def all_reads(self) -> set[int]:
        """The nodes that any operand reads."""
        return {index for each in self.reads for index in each}


@dataclass
class _Growing:
    """A section as far as it is read.

    Attributes:
        prefix: The beginning of the names of its nodes, with a dot at the end.
        start: The node whose value flows in; delays read it to know how many samples there are.
        place: The node whose value came out last.
    """

    prefix: str
    start: int
    place: int
    items: list[SourceItem] = field(default_factory=list)
    steps: list[_Step] = field(default_factory=list)

    def add(
        self, item: SourceItem, reads: tuple[int, ...], output: int, inside: frozenset[int], name: str = ""
    ) -> None:
        """Append an item."""
        self.items.append(item)
        self.steps.append(_Step((reads,), output, (item.key,), inside, name=name))
        self.place = output


class _Region(NamedTuple):
    """Steps of a section that are computed one time-step after the other: ``steps[begin:end]``."""

    begin: int
    end: int
    inside: frozenset[int]


class _Reader:
    def __init__(self, network: Network, taken: Collection[str]) -> None:
        self._network, self._nodes, self._taken = network, network.nodes, taken
        self._loops = [*map(frozenset, network.graph.loops)]
        self._apart: dict[str, list[_Step]] = {}  # the steps of sections that become steps of those around them

    def section(self, named: tuple[str, Kind, str], items: Items, place: int, start: int) -> SourceSection:
        """Return a section with these items.

        Args:
            named: Its key, its kind, and the beginning of the names of its nodes, with a dot at the end.
            place: The node whose value flows to them.
            start: The node whose value flows in where no item reads one.
        """
        key, kind, prefix = named
        reads = self._reads(items, place)
        begin = reads[0] if reads else start
        growing = _Growing(prefix, begin, begin)
        for item in items:
            self._add(growing, item)
        inside = frozenset(nodes(items))
        output = self._output(growing, inside, {growing.start, *reads})
        made = SourceSection(key, kind, growing.start, output, tuple(growing.items), others=reads[1:])
        # The section around computes a loop that leads out of this one, and nodes that need all time-steps.
        crossing = [loop for loop in self._loops if not loop.isdisjoint(inside) and not loop <= inside]
        if crossing and any(map(self._needs_all_steps, inside.difference(*crossing))):
            self._apart[prefix] = growing.steps
            return replace(made, inlined=True)
        return self._flowing(made, growing)

    def _output(self, growing: _Growing, inside: frozenset[int], incoming: set[int]) -> int:
        """Return the node of a section whose value is read outside of it, or read out."""
        consumers, back = self._network.graph.consumers, self._network.graph.back_edges
        outputs = [
            index
            for index in sorted(inside)
            if any(reader not in inside and reader not in back for reader in consumers[index])
        ]
        given = [index for index in self._network.given if index in inside or index in incoming]
        whole = not growing.prefix
        found = given if whole else list(dict.fromkeys([*outputs, *(i for i in given if i in inside)]))
        known = incoming.union(step.gives for step in growing.steps)
        hidden = next((index for index in found if index not in known), None)
        if hidden is not None or (len(found) > 1 and not whole):
            why = "is read outside of the part of the network that computes it, and not as its only value"
            raise UnsupportedLayer(self._nodes[found[0] if hidden is None else hidden], why)
        return found[-1] if found else growing.place

    def _needs_all_steps(self, index: int) -> bool:
        """Return whether a node takes statistics of all time-steps, reads them at once, or is in a loop."""
        op = self._nodes[index].op
        return isinstance(op, BatchNorm) or op.reads == "sequence" or index in self._network.graph.looped

    def _reads(self, items: Items, place: int) -> tuple[int, ...]:
        """Return the nodes outside of some items whose values they read; that whose value flows to them first."""
        inside = set(nodes(items))
        found = dict.fromkeys(
            source for i in sorted(inside) for source in self._nodes[i].inputs if source not in inside
        )
        return tuple(sorted(found, key=lambda index: index != place))

    def _flowing(self, section: SourceSection, growing: _Growing) -> SourceSection:
        """The section with its flow; a value that has a name, or is not read right away, has a variable of its own."""
        incoming = (section.source, *section.others)
        regions, steps = self._regions(growing)
        delayed = self._delayed(growing)
        outputs = dict(self._network.outputs) if section.kind == "network" else {}
        kept, before = dict.fromkeys(section.others), section.source
        for step in steps:
            kept |= dict.fromkeys(index for each in step.reads for index in each if index != before)
            before = step.gives
        if section.output != before:
            kept[section.output] = None
        kept |= dict.fromkeys([*(source for _, source in delayed.values()), *outputs.values()])
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
            FlowStep(step.keys, tuple(tuple(map(called, each)) for each in step.reads), called(step.gives), step.merge)
            for step in steps
        )
        held = {delay: (name, called(source)) for delay, (name, source) in delayed.items()}
        ends = {section.output, *outputs.values()}
        loops = tuple(self._loop(steps, region, ends, called, held) for region in regions)
        looped = frozenset[int]().union(*(region.inside for region in regions))
        return replace(
            section,
            flow=flow,
            variables=tuple(map(called, incoming)),
            result=called(section.output),
            results=tuple((name, called(index)) for name, index in outputs.items()),
            loops=loops,
            delays=tuple(pair for delay, pair in held.items() if delay not in looped),
        )

    def _delayed(self, growing: _Growing) -> dict[int, tuple[str, int]]:
        """Return delays in loops that no smaller section has with their value: the name here, and the delayed node."""
        found = {}
        place = {index: step for step in growing.steps for index in step.inside}
        for index, step in place.items():
            node = self._nodes[index]
            if not node.feeds_back or place.get(node.sources[0], step) is step:
                continue
            (source,) = node.sources
            if place[source].gives != source:
                why = f"delays {self._nodes[source].name}, a value that only another part of the file knows"
                raise UnsupportedLayer(node, why)
            found[index] = node.name.removeprefix(growing.prefix), source
        return found

    def _regions(self, growing: _Growing) -> tuple[list[_Region], list[_Step]]:
        """Return what is computed one time-step after the other, and the steps in an order that keeps it together."""
        steps = growing.steps
        everything = frozenset[int]().union(*(step.inside for step in steps))
        loops = [loop for loop in self._loops if loop <= everything and not any(loop <= step.inside for step in steps)]
        if not loops:
            return [], steps
        reads, before = _step_edges(steps)
        groups: list[set[int]] = []
        for loop in loops:
            group = {number for number, step in enumerate(steps) if step.inside & loop}
            while True:
                between = {
                    number
                    for number in range(min(group), max(group))
                    if before[number] & group and any(number in before[other] for other in group)
                }
                joined = group.union(between, *(other for other in groups if other & (group | between)))
                if joined == group:
                    break
                group = joined
            groups = [*(other for other in groups if not other & group), group]
        regions, ordered = [], list[_Step]()
        for unit in _in_order(len(steps), groups, reads):
            if unit in groups:
                inside = frozenset[int]().union(*(steps[number].inside for number in unit))
                self._require_steps(inside, inside.intersection(*[frozenset[int]().union(*loops)]))
                regions.append(_Region(len(ordered), len(ordered) + len(unit), inside))
            ordered += [steps[number] for number in sorted(unit)]
        return regions, ordered

    def _require_steps(self, inside: frozenset[int], looped: frozenset[int]) -> None:
        """Check that nodes outside of a loop give the same if they are computed one time-step after the other.

        Raises:
            UnsupportedLayer: one of them takes statistics of all time-steps, reads all, or is in a loop of its own.
        """
        for index in sorted(inside - looped):
            if self._needs_all_steps(index):
                raise UnsupportedLayer(
                    self._nodes[index],
                    "is in a repeat with layers of a loop, and in no loop itself; write the repeat as named values",
                )

    def _loop(
        self,
        steps: Sequence[_Step],
        region: _Region,
        ends: set[int],
        called: Callable[[int], str],
        held: Mapping[int, tuple[str, str]],
    ) -> StepLoop:
        """Return the loop of a region, with the variables that it reads and gives."""
        inner = steps[region.begin : region.end]
        produced = {step.gives for step in inner}
        outside = dict.fromkeys(
            index for step in inner for each in step.reads for index in each if index not in produced
        )
        later = ends.union(*(step.all_reads for step in steps[region.end :]))
        return StepLoop(
            region.begin,
            region.end,
            tuple(dict.fromkeys(map(called, outside))),
            tuple(called(step.gives) for step in inner if step.gives in later),
            tuple(pair for delay, pair in held.items() if delay in region.inside),
        )

    def _add(self, growing: _Growing, item: Item) -> None:
        match item:
            case LayerItem(index):
                node = self._nodes[index]
                reads = node.inputs or (growing.start,)
                growing.add(Leaf(node.name.rpartition(".")[2], index), reads, index, frozenset({index}))
            case MergeItem(index):
                self._merge(growing, item)
            case LoopItem(index, delay, body, feedback, (body_step, feedback_step)):
                entry, _ = self._nodes[index].inputs
                if feedback_step is not None:
                    behind = (LayerItem(delay), *feedback)
                    self._part(growing, feedback_step, "loop", behind, entry)
                growing.steps.append(
                    _Step(
                        tuple((i,) for i in self._nodes[index].inputs), index, (None, None), frozenset({index}), index
                    )
                )
                growing.place = index
                if body_step is not None:
                    self._part(growing, body_step, "loop", body, entry)
            case BlockItem(step, items):
                self._part(growing, step, "block", items, growing.start)
            case RepeatItem(steps, copies):
                source, sections = growing.place, list[SourceSection]()
                for step, copy in zip(steps, copies, strict=True):
                    entry = sections[-1].output if sections else source
                    named: tuple[str, Kind, str] = (
                        step.key.rpartition(".")[2],
                        "copy",
                        f"{growing.prefix}{step.key}.",
                    )
                    made = self.section(named, copy, entry, entry)
                    if (made.source, made.others) != (entry, ()) and (sections or made.others):
                        first = self._nodes[next(nodes(copy))]
                        raise UnsupportedLayer(first, "is in a repeat that reads more than what flows through it")
                    sections.append(made)
                key, source, output = steps[0].key.rpartition(".")[0], sections[0].source, sections[-1].output
                inside = frozenset(index for copy in copies for index in nodes(copy))
                growing.add(SourceSection(key, "repeat", source, output, tuple(sections)), (source,), output, inside)
            case ValueItem(step, items):
                self._part(growing, step, step.kind, items, growing.start, step.key)
            case ReadItem():
                pass  # only the view by edges has these

    def _part(  # noqa: PLR0913 -- all that a part is made of
        self, growing: _Growing, step: PathStep, kind: Kind, items: Items, start: int, name: str = ""
    ) -> SourceSection:
        """Append a section as a step of its own."""
        prefix = f"{growing.prefix}{step.key}."
        inner = self.section((step.key, kind, prefix), items, growing.place, start)
        if kind == "block":
            inner = replace(inner, title=step.label, arguments=step.arguments)
        growing.add(inner, (inner.source, *inner.others), inner.output, frozenset(nodes(items)), name)
        if inner.inlined:
            growing.steps.pop()
            growing.steps += [
                replace(
                    each,
                    keys=tuple(key and f"{step.key}.{key}" for key in each.keys),
                    name=name if each.gives == inner.output else "",
                )
                for each in self._apart.pop(prefix)
            ]
        return inner

    def _merge(self, growing: _Growing, item: MergeItem) -> None:
        looped = not self._network.graph.looped.isdisjoint(nodes((item,)))
        place = growing.place
        reads: list[tuple[int, ...]] = []
        keys: list[str | None] = []
        for step, items, source in zip(item.steps, item.operands, self._nodes[item.node].inputs, strict=True):
            if step is None:
                reads.append((source,))
                keys.append(None)
                continue
            growing.place = place
            inner = self._part(growing, step, step.kind, items, growing.start)
            if inner.output != source:
                raise UnsupportedLayer(self._nodes[item.node], "reads something else than what its operands give")
            if looped:  # an operand outside of the loop is computed for all time-steps at once
                reads.append((source,))
                keys.append(None)
                continue
            growing.steps.pop()
            reads.append((inner.source, *inner.others))
            keys.append(inner.key)
        inside = frozenset({item.node} if looped else nodes((item,)))
        growing.steps.append(_Step(tuple(reads), item.node, tuple(keys), inside, item.node))
        growing.place = item.node


def _step_edges(steps: Sequence[_Step]) -> tuple[list[set[int]], list[set[int]]]:
    """Return for each step the steps whose values it reads, and all that lead to it."""
    giver: dict[int, int] = {}
    reads: list[set[int]] = []
    before: list[set[int]] = []
    for number, step in enumerate(steps):
        reads.append({giver[index] for index in step.all_reads if index in giver})
        before.append(reads[-1].union(*(before[other] for other in reads[-1])))
        giver[step.gives] = number
    return reads, before


def _in_order(count: int, groups: Sequence[set[int]], reads: Sequence[set[int]]) -> Iterator[set[int]]:
    """Yield groups of steps and the steps of none, each after those that it reads, else in the order of the steps."""
    units = [*groups, *({number} for number in range(count) if not any(number in group for group in groups))]
    done: set[int] = set()
    while units:
        ready = (unit for unit in units if set().union(*(reads[number] for number in unit)) <= done | unit)
        unit = min(ready, key=min)
        units.remove(unit)
        done |= unit
        yield unit
