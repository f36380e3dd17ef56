"""The network as nested sections along its names (blocks, repeats, branches), and the flow of values through them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import field, replace
from itertools import count, filterfalse
from typing import Literal, NamedTuple

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.source.expressions import is_variable
from sewdsl.ir.network import Network
from sewdsl.ir.node import PathStep, innermost_part
from sewdsl.ir.op import Merge
from sewdsl.ir.structure import (
    BlockItem,
    Item,
    Items,
    LayerItem,
    LoopItem,
    MergeItem,
    RepeatItem,
    ValueItem,
    nodes,
)
from sewdsl.ir.wiring import UnstructuredError
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.layers.norms import BatchNorm

INPUT, ONWARD = "x", "y"
"""Variable of the value that flows through a section. Its name if the input of the section is read again later."""


@dataclass(frozen=True)
class Leaf:
    """Layer: the last part of its name, and its index in the network."""

    key: str
    index: int


@dataclass(frozen=True)
class FlowStep:
    """Step of a section: one item, or a merge of several operands."""

    keys: tuple[str | None, ...]
    """Key of the item, or of each operand of the merge. None for an identity operand."""
    reads: tuple[tuple[str, ...], ...] = ((INPUT,),)
    """Variables that the item, or each operand, reads."""
    gives: str = INPUT
    """Variable of the result."""
    merge: int | None = None
    """Index of the merge. None for a step of one item."""
    module: str = ""
    """Key of the module that computes the merge. Empty for a formula."""


Kind = Literal["network", "block", "part", "repeat", "copy", "branch", "shortcut", "operand", "loop", "value"]


@dataclass(frozen=True)
class StepLoop:
    """Steps of a flow that are computed one time-step after the other."""

    begin: int
    """Index of the first step in the flow."""
    end: int
    """Index after the last step."""
    reads: tuple[str, ...]
    """Variables from before the loop."""
    gives: tuple[str, ...]
    """Variables that are read after the loop."""
    delays: tuple[tuple[str, str], ...]
    """For each delay in the loop, its name in the section and the variable of its source."""


@dataclass(frozen=True)
class SourceSection:
    """Part of the network with a name of its own."""

    key: str
    """Last part of its name."""
    kind: Kind
    """Kind of the section. A ``repeat`` contains only sections of kind ``copy``."""
    source: int
    """Index of the node whose value it reads."""
    output: int
    """Index of the node with its value."""
    items: tuple[SourceItem, ...] = ()
    flow: tuple[FlowStep, ...] = ()
    """Steps in order of computation."""
    title: str = ""
    """Name of a block."""
    arguments: str = ""
    """Arguments of a block: ``c128s2``."""
    others: tuple[int, ...] = ()
    """Indices of further nodes that it reads: named values."""
    variables: tuple[str, ...] = (INPUT,)
    """Variables of the values that it reads."""
    result: str = INPUT
    """Variable of its value."""
    results: tuple[tuple[str, str], ...] = ()
    """Names and variables of the outputs, for a network with several outputs."""
    loops: tuple[StepLoop, ...] = ()
    """Steps that are computed one time-step after the other."""
    delays: tuple[tuple[str, str], ...] = ()
    """As for a loop, in a section that is part of a loop."""
    inlined: bool = False
    """Whether its flow is part of the enclosing section: only some of its layers are in a loop."""

    @property
    def merges(self) -> tuple[int, ...]:
        """Indices of its merges, without those of nested sections."""
        return tuple(step.merge for step in self.flow if step.merge is not None)

    @property
    def straight(self) -> bool:
        """Whether one value flows through all items in sequence."""
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
        UnsupportedLayer: If the name of a node does not match its path, or if a repeat reads additional values.
    """
    try:
        network.parts  # noqa: B018 -- checks its calls
    except UnstructuredError as error:
        raise UnsupportedLayer(network.nodes[error.node or 0], error.why) from None
    _check_states(network)
    for node in network:
        path = [step.key for step in node.path[max(innermost_part(node.path) - 1, 0) :]]
        if node.name != ".".join([*path, node.name.rpartition(".")[2]]):
            raise UnsupportedLayer(node, "is not named after its repeats and blocks")
    return _Reader(network, taken).section(("", "network", ""), network.nesting[network.first_layer :], 0, 0)[0]


def _check_states(network: Network) -> None:
    """Raise UnsupportedLayer if a layer with a state is called twice in one loop."""
    for users in network.users.values():
        node = network.nodes[users[-1]]
        if (node.op.reads == "past" or node.feeds_back) and any(
            len({*loop} & {*users}) > 1 for loop in network.graph.loops
        ):
            raise UnsupportedLayer(node, "keeps a state in a loop for two calls of its part")


ABSOLUTE = "."
"""First character of the key of a part, which is an attribute of the network wherever it is called."""


def _prefixed(key: str, prefix: str) -> str:
    """Return the key of a module in an enclosing section."""
    return key if not key or key.startswith(ABSOLUTE) else f"{prefix}.{key}"


@dataclass(frozen=True)
class _Step:
    """Step of a section's flow, in terms of the nodes that it computes instead of variables."""

    reads: tuple[tuple[int, ...], ...]
    gives: int
    keys: tuple[str | None, ...]
    inside: frozenset[int]
    merge: int | None = None
    name: str = ""
    module: str = ""

    def inside_of(self, prefix: str, name: str = "") -> _Step:
        """Return the step in an enclosing section, whose modules have a prefix in their keys."""
        keys = tuple(key and _prefixed(key, prefix) for key in self.keys)
        return replace(self, keys=keys, module=_prefixed(self.module, prefix), name=name)

    def reading(self, operands: _Operands) -> _Step:
        """Return the step with the nodes that the operands of a call read."""
        return replace(self, reads=tuple(tuple(map(operands.argument, each)) for each in self.reads))

    @property
    def all_reads(self) -> set[int]:
        """Nodes that any operand reads."""
        return {index for each in self.reads for index in each}


@dataclass
class _SectionBuilder:
    prefix: str
    """Prefix of the names of its nodes, with a dot at the end."""
    start: int
    """Node whose value it reads. Delays read its batch size."""
    current: int
    """Node with the value after the last item."""
    items: list[SourceItem] = field(default_factory=list)
    steps: list[_Step] = field(default_factory=list)

    def add(
        self, item: SourceItem, reads: tuple[int, ...], output: int, inside: frozenset[int], name: str = ""
    ) -> None:
        """Append an item."""
        self.items.append(item)
        self.steps.append(_Step((reads,), output, (item.key,), inside, name=name))
        self.current = output


class _Operands(NamedTuple):
    """Operands of a call of a part, which have numbers as if they were further nodes."""

    numbers: Mapping[tuple[int, int], int]
    """Number of the operand that an input of a node reads, by the index of the node and the position."""
    arguments: tuple[int, ...]
    """Node, or number of an operand of the enclosing call, that each operand reads."""
    nodes: tuple[int, ...]
    first: int

    def argument(self, number: int) -> int:
        """Return what an operand reads in the enclosing section. Nodes are unchanged."""
        return number if number < self.first else self.arguments[number - self.first]

    def node(self, number: int) -> int:
        """Return the node that an operand reads. Nodes are unchanged."""
        return number if number < self.first else self.nodes[number - self.first]


class _Region(NamedTuple):
    """Steps of a section that are computed one time-step after the other: ``steps[begin:end]``."""

    begin: int
    end: int
    inside: frozenset[int]


class _Reader:
    def __init__(self, network: Network, taken: Collection[str]) -> None:
        self._network, self._nodes, self._reserved_names = network, network.nodes, taken
        self._loops = [*map(frozenset, network.graph.loops)]
        self._has_parts = False
        self._operands = _Operands({}, (), (), len(network))  # of the innermost call
        self._calls = {call.path: (part, call) for part in network.parts.values() for call in part.calls}
        self._inlined_parts = {part.title for part, call in self._calls.values() if self._splits_loop({*call.nodes})}
        self._inlined_steps: dict[str, list[_Step]] = {}  # By prefix of the inlined section.

    def section(
        self, naming: tuple[str, Kind, str], items: Items, flow_node: int, start: int, *, inlined: bool = False
    ) -> tuple[SourceSection, tuple[int, ...]]:
        """Return a section of the given items, and the nodes and operands that it reads.

        Args:
            naming: Key, kind, and prefix of the names of its nodes.
            flow_node: Node whose value flows to the items.
            start: Node that the section reads if none of its items reads a value.
            inlined: Whether its flow is part of the enclosing section in any case.
        """
        key, kind, prefix = naming
        reads = self._reads(items, flow_node)
        first_node = reads[0] if reads else start
        builder = _SectionBuilder(prefix, first_node, first_node)
        if kind == "network":
            self._root = builder
        for item in items:
            self._add(builder, item)
        if self._has_parts and kind == "network":
            builder.items.sort(key=_first_leaf)  # the order of the state_dict
        inside = frozenset(nodes(items))
        output = self._output(builder, inside, {builder.start, *reads})
        section = SourceSection(key, kind, builder.start, output, tuple(builder.items), others=reads[1:])
        # Only the network has the modules of parts.
        calls = prefix and any(key and key.startswith(ABSOLUTE) for step in builder.steps for key in step.keys)
        if calls or inlined or self._splits_loop(inside):
            self._inlined_steps[prefix] = builder.steps
            section = replace(section, inlined=True)
        else:
            section = self._flowing(section, builder)
        source, *others = map(self._operands.node, (builder.start, *reads[1:]))
        return replace(section, source=source, others=tuple(others)), (builder.start, *reads[1:])

    def _splits_loop(self, inside: Collection[int]) -> bool:
        """Return whether only an enclosing section can compute a loop: it crosses nodes that need all time-steps."""
        crossing = [loop for loop in self._loops if not loop.isdisjoint(inside) and not loop.issubset(inside)]
        return bool(crossing) and any(map(self._needs_all_steps, frozenset(inside).difference(*crossing)))

    def _inputs(self, index: int) -> tuple[int, ...]:
        """Return the nodes and operands that a node reads."""
        numbers = self._operands.numbers
        return tuple(numbers.get((index, i), source) for i, source in enumerate(self._nodes[index].inputs))

    def _output(self, builder: _SectionBuilder, inside: frozenset[int], incoming: set[int]) -> int:
        """Return the node of a section whose value is read outside, or is an output of the network."""
        # A delay in a loop does not count as a reader: _delayed() passes its value on.
        consumers, back = self._network.graph.consumers, self._network.graph.back_edges
        outputs = [
            index
            for index in sorted(inside)
            if any(reader not in inside and reader not in back for reader in consumers[index])
        ]
        network_outputs = [index for index in self._network.output_indices if index in inside or index in incoming]
        # Only the network itself may have several outputs.
        is_network = not builder.prefix
        candidates = (
            network_outputs
            if is_network
            else list(dict.fromkeys([*outputs, *(i for i in network_outputs if i in inside)]))
        )
        available = incoming.union(step.gives for step in builder.steps)
        hidden = next((index for index in candidates if index not in available), None)
        if hidden is not None or (len(candidates) > 1 and not is_network):
            reason = "is read outside of its part of the network, but is not the only value of that part"
            raise UnsupportedLayer(self._nodes[candidates[0] if hidden is None else hidden], reason)
        return candidates[-1] if candidates else builder.current

    def _needs_all_steps(self, index: int) -> bool:
        """Return whether a node cannot be computed step by step: batch norms, sequence layers, nodes in a loop."""
        op = self._nodes[index].op
        return isinstance(op, BatchNorm) or op.reads == "sequence" or index in self._network.graph.looped

    def _reads(self, items: Items, flow_node: int) -> tuple[int, ...]:
        """Return the nodes outside of some items, and the operands, that the items read. ``flow_node`` comes first."""
        inside = set(nodes(items))
        sources = dict.fromkeys(source for i in sorted(inside) for source in self._inputs(i) if source not in inside)
        # Named inputs and operands are in order.
        first, count = self._network.first_layer, len(self._nodes)
        return tuple(sorted(sources, key=lambda i: (i != flow_node, min(i, first), i if i >= count else 0)))

    def _flowing(self, section: SourceSection, builder: _SectionBuilder) -> SourceSection:
        """Return a section with its flow. Named values, and values read later, have variables of their own."""
        incoming = (section.source, *section.others)
        regions, steps = self._regions(builder)
        delayed = self._delayed(builder)
        outputs = dict(self._network.outputs) if section.kind == "network" else {}
        own_variables, previous = dict.fromkeys(section.others), section.source
        # A value that the next step reads needs no variable of its own.
        for step in steps:
            own_variables |= dict.fromkeys(index for each in step.reads for index in each if index != previous)
            previous = step.gives
        if section.output != previous:
            own_variables[section.output] = None
        own_variables |= dict.fromkeys([*(source for _, source in delayed.values()), *outputs.values()])
        own_variables |= dict.fromkeys(step.gives for step in steps if step.name)
        # The input keeps the name x if it is read again, and the flow is then called y.
        flow_variable = ONWARD if section.source in own_variables else INPUT
        value_names = {step.gives: step.name for step in steps if step.name}
        free_names = filterfalse(
            {*self._reserved_names, *value_names.values()}.__contains__, (f"x{suffix}" for suffix in count(2))
        )
        variables: dict[int, str] = {section.source: INPUT}
        if section.kind == "network" and self._network.settings.inputs:
            variables, flow_variable = self._input_variables(), INPUT
        for index in own_variables:
            if index not in variables:
                name = value_names.get(index, "")
                is_valid = is_variable(name) and name not in {*self._reserved_names, INPUT, ONWARD, "self"}
                variables[index] = name if is_valid and name not in variables.values() else next(free_names)

        def variable_of(index: int) -> str:
            return variables.get(index, flow_variable)

        flow = tuple(
            FlowStep(
                tuple(key and key.removeprefix(ABSOLUTE) for key in step.keys),
                tuple(tuple(map(variable_of, each)) for each in step.reads),
                variable_of(step.gives),
                step.merge,
                step.module.removeprefix(ABSOLUTE),
            )
            for step in steps
        )
        delays = {delay: (name, variable_of(source)) for delay, (name, source) in delayed.items()}
        ends = {section.output, *outputs.values()}
        loops = tuple(self._loop(steps, region, ends, variable_of, delays) for region in regions)
        looped = frozenset[int]().union(*(region.inside for region in regions))
        return replace(
            section,
            flow=flow,
            variables=tuple(map(variable_of, incoming)),
            result=variable_of(section.output),
            results=tuple((name, variable_of(index)) for name, index in outputs.items()),
            loops=loops,
            delays=tuple(pair for delay, pair in delays.items() if delay not in looped),
        )

    def _input_variables(self) -> dict[int, str]:
        """Return the named inputs as variables, or raise UnsupportedLayer if the file needs a name for itself."""
        variables = {index: self._nodes[index].name for index in self._network.input_indices}
        for index, name in variables.items():
            if name in self._reserved_names or name == ONWARD:
                raise UnsupportedLayer(self._nodes[index], "has a name that the file uses itself; rename the input")
        return variables

    def _delayed(self, builder: _SectionBuilder) -> dict[int, tuple[str, int]]:
        """Return the delays in loops that only this section can feed: their name, and the delayed node."""
        delays = {}
        step_of = {index: step for step in builder.steps for index in step.inside}
        for index, step in step_of.items():
            node = self._nodes[index]
            # A delay in the same step as its source is handled inside that step.
            if not node.feeds_back or step_of.get(node.sources[0], step) is step:
                continue
            (source,) = node.sources
            if step_of[source].gives != source:
                reason = f"delays {self._nodes[source].name}, which is local to another part of the file"
                raise UnsupportedLayer(node, reason)
            delays[index] = self._network.owner(node).name.removeprefix(builder.prefix), source
        return delays

    def _regions(self, builder: _SectionBuilder) -> tuple[list[_Region], list[_Step]]:
        """Return the parts computed step by step, and all steps in an order that keeps each part together."""
        steps = builder.steps
        all_nodes = frozenset[int]().union(*(step.inside for step in steps))
        loops = [loop for loop in self._loops if loop <= all_nodes and not any(loop <= step.inside for step in steps)]
        if not loops:
            return [], steps
        reads, ancestors = _step_edges(steps)
        groups: list[set[int]] = []
        for loop in loops:
            group = {index for index, step in enumerate(steps) if step.inside & loop}
            # Extend the group by steps between its members, and by overlapping groups, until nothing changes.
            while True:
                between = {
                    index
                    for index in range(min(group), max(group))
                    if ancestors[index] & group and any(index in ancestors[other] for other in group)
                }
                joined = group.union(between, *(other for other in groups if other & (group | between)))
                if joined == group:
                    break
                group = joined
            groups = [*(other for other in groups if not other & group), group]
        regions, ordered = [], list[_Step]()
        for unit in _in_order(len(steps), groups, reads):
            if unit in groups:
                inside = frozenset[int]().union(*(steps[index].inside for index in unit))
                self._require_steps(inside, inside.intersection(*[frozenset[int]().union(*loops)]))
                regions.append(_Region(len(ordered), len(ordered) + len(unit), inside))
            ordered += [steps[index] for index in sorted(unit)]
        return regions, ordered

    def _require_steps(self, inside: frozenset[int], looped: frozenset[int]) -> None:
        """Raise UnsupportedLayer if a node outside of the loop needs all time-steps, or is in a loop of its own."""
        for index in sorted(inside - looped):
            if self._needs_all_steps(index):
                raise UnsupportedLayer(
                    self._nodes[index],
                    "needs all time-steps, but is in a repeat with layers of a loop; write the repeat as named values",
                )

    def _loop(
        self,
        steps: Sequence[_Step],
        region: _Region,
        ends: set[int],
        variable_of: Callable[[int], str],
        delays: Mapping[int, tuple[str, str]],
    ) -> StepLoop:
        inner = steps[region.begin : region.end]
        # Values from before the loop are sequences that stepwise() splits by time-step.
        produced = {step.gives for step in inner}
        inputs = dict.fromkeys(
            index for step in inner for each in step.reads for index in each if index not in produced
        )
        read_later = ends.union(*(step.all_reads for step in steps[region.end :]))
        return StepLoop(
            region.begin,
            region.end,
            tuple(dict.fromkeys(map(variable_of, inputs))),
            tuple(variable_of(step.gives) for step in inner if step.gives in read_later),
            tuple(pair for delay, pair in delays.items() if delay in region.inside),
        )

    def _add(self, builder: _SectionBuilder, item: Item) -> None:
        match item:
            case LayerItem(index):
                node = self._nodes[index]
                reads = self._inputs(index) or (builder.start,)
                builder.add(Leaf(node.name.rpartition(".")[2], index), reads, index, frozenset({index}))
            case MergeItem(index):
                self._merge(builder, item)
            case LoopItem(index, delay, body, feedback, (body_step, feedback_step)):
                entry, _ = self._inputs(index)
                if feedback_step is not None:
                    feedback_items = (LayerItem(delay), *feedback)
                    self._part(builder, feedback_step, "loop", feedback_items, entry)
                builder.steps.append(
                    _Step(tuple((i,) for i in self._inputs(index)), index, (None, None), frozenset({index}), index)
                )
                builder.current = index
                if body_step is not None:
                    self._part(builder, body_step, "loop", body, entry)
            case BlockItem(step, items) if step.kind == "part":
                self._call(builder, step, items)
            case BlockItem(step, items):
                self._part(builder, step, "block", items, builder.start)
            case RepeatItem(steps, copies):
                source, sections = builder.current, list[SourceSection]()
                for step, copy in zip(steps, copies, strict=True):
                    entry = sections[-1].output if sections else source
                    naming: tuple[str, Kind, str] = (
                        step.key.rpartition(".")[2],
                        "copy",
                        f"{builder.prefix}{step.key}.",
                    )
                    section, reads = self.section(naming, copy, entry, entry)
                    sections.append(section)
                    if section.inlined:
                        steps_of_copy = self._inlined_steps.pop(naming[2])
                        builder.steps += [each.inside_of(step.key) for each in steps_of_copy]
                        builder.current = section.output
                        continue
                    if reads != (entry,) and (len(sections) > 1 or section.others):
                        first = self._nodes[next(nodes(copy))]
                        raise UnsupportedLayer(first, "is in a repeat that reads more than one value")
                key, source, output = steps[0].key.rpartition(".")[0], sections[0].source, sections[-1].output
                inside = frozenset(index for copy in copies for index in nodes(copy))
                repeat = SourceSection(key, "repeat", source, output, tuple(sections))
                if not any(section.inlined for section in sections):
                    builder.add(repeat, (source,), output, inside)
                elif any(section.items for section in sections):
                    builder.items.append(repeat)
            case ValueItem(step, items):
                self._part(builder, step, step.kind, items, builder.start, step.key)

    def _part(  # noqa: PLR0913 -- all properties of a part
        self, builder: _SectionBuilder, step: PathStep, kind: Kind, items: Items, start: int, name: str = ""
    ) -> tuple[SourceSection, tuple[int, ...]]:
        """Append a nested section as a step, and return it with what it reads."""
        prefix = f"{builder.prefix}{step.key}."
        inner, reads = self.section((step.key, kind, prefix), items, builder.current, start)
        if kind == "block":
            inner = replace(inner, title=step.label, arguments=step.arguments)
        builder.add(inner, reads, inner.output, frozenset(nodes(items)), name)
        if inner.inlined:
            # The enclosing section takes over the steps, with the prefixed keys of their modules.
            builder.steps.pop()
            builder.steps += [
                each.inside_of(step.key, name if each.gives == inner.output else "")
                for each in self._inlined_steps.pop(prefix)
            ]
            if not inner.items:
                builder.items.pop()
        return inner, reads

    def _call(self, builder: _SectionBuilder, step: PathStep, items: Items) -> None:
        """Append a call of a part, whose modules are attributes of the network."""
        path = self._nodes[next(nodes(items))].path
        part, call = self._calls[path[: path.index(step) + 1]]
        read_by_first_slot = (self._inputs(call.nodes[slots[0][0]])[slots[0][1]] for slots in part.operands)
        arguments = tuple(read_by_first_slot) or (builder.start,)
        first = len(self._nodes)
        slots = {slot: operand_index for operand_index, each in enumerate(part.operands, first) for slot in each}
        numbers = {(call.nodes[position], i): operand_index for (position, i), operand_index in slots.items()}
        outer = self._operands
        operands = _Operands(numbers, arguments, tuple(map(outer.node, arguments)), first)
        self._operands = operands
        key, prefix = part.calls[0].path[-1].key, f"{step.key}."
        inlined = part.title in self._inlined_parts
        inner, _ = self.section((key, "block", prefix), items, first, first, inlined=inlined)
        self._operands = outer
        if step.key == key and inner.items:
            self._root.items.append(replace(inner, title=step.label))
            self._has_parts = True
        if inner.inlined:
            steps = self._inlined_steps.pop(prefix)
            builder.steps += [each.reading(operands).inside_of(f"{ABSOLUTE}{key}") for each in steps]
        else:
            inside = frozenset(call.nodes)
            builder.steps.append(_Step((arguments,), inner.output, (f"{ABSOLUTE}{key}",), inside))
        builder.current = inner.output

    def _merge(self, builder: _SectionBuilder, item: MergeItem) -> None:
        looped = not self._network.graph.looped.isdisjoint(nodes((item,)))
        flow_node = builder.current
        reads: list[tuple[int, ...]] = []
        keys: list[str | None] = []
        for step, items, source in zip(item.steps, item.operands, self._inputs(item.node), strict=True):
            if step is None:
                reads.append((source,))
                keys.append(None)
                continue
            builder.current = flow_node
            inner, read = self._part(builder, step, step.kind, items, builder.start)
            if inner.output != source:
                raise UnsupportedLayer(self._nodes[item.node], "does not read the values of its operands")
            # Operands outside of the loop are computed for all time-steps before it.
            if looped or inner.inlined:
                reads.append((source,))
                keys.append(None)
                continue
            builder.steps.pop()
            reads.append(read)
            keys.append(inner.key)
        apart = (items for items, key in zip(item.operands, keys, strict=True) if key is None)
        inside = frozenset({item.node} if looped else nodes((item,))).difference(*map(nodes, apart))
        node, module = self._nodes[item.node], ""
        if isinstance(node.op, Merge) and node.op.has_module:
            module = node.name.rpartition(".")[2]
            builder.items.append(Leaf(module, item.node))
        builder.steps.append(_Step(tuple(reads), item.node, tuple(keys), inside, item.node, module=module))
        builder.current = item.node


def _first_leaf(item: SourceItem) -> int:
    """Return the index of the first layer of an item, or of its output without layers."""
    if isinstance(item, Leaf):
        return item.index
    return min(map(_first_leaf, item.items), default=item.output)


def _step_edges(steps: Sequence[_Step]) -> tuple[list[set[int]], list[set[int]]]:
    """Return for each step the steps that it reads, and all steps that it depends on."""
    step_of_value: dict[int, int] = {}
    reads: list[set[int]] = []
    ancestors: list[set[int]] = []
    for position, step in enumerate(steps):
        reads.append({step_of_value[index] for index in step.all_reads if index in step_of_value})
        ancestors.append(reads[-1].union(*(ancestors[other] for other in reads[-1])))
        step_of_value[step.gives] = position
    return reads, ancestors


def _in_order(count: int, groups: Sequence[set[int]], reads: Sequence[set[int]]) -> Iterator[set[int]]:
    """Yield the groups and the remaining steps in dependency order. Ties are in the original order."""
    units = [*groups, *({index} for index in range(count) if not any(index in group for group in groups))]
    yielded: set[int] = set()
    while units:
        ready = (unit for unit in units if set().union(*(reads[index] for index in unit)) <= yielded | unit)
        unit = min(ready, key=min)
        units.remove(unit)
        yielded |= unit
        yield unit
