"""Parts in the text of a network: each call of a part becomes one node, and each part has a network of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import count

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node, PathStep, innermost_part
from sewdsl.ir.op import Op
from sewdsl.light_dataclass import dataclass
from sewdsl.notation.item_text import LayerText, MergeText, ReadText, RepeatText, TextItem, TextItems, UnwritableNetwork
from sewdsl.notation.item_text import child_sequences as _children
from sewdsl.notation.part_calls import CalledMerge, CalledPart, PartOperand
from sewdsl.ops.input import Input

Path = tuple[PathStep, ...]
Slot = tuple[int, int]
"""Position of a node in a call, and the position of one of its inputs."""


@dataclass(frozen=True)
class TextScope:
    """Network in which each call of a part is one node.

    Attributes:
        title: Name of the part, or empty for the body.
        operands: Names of the operands, or empty for a single one.
        nodes: Index in the complete network of each node, or of the output of the call that it represents.
    """

    title: str
    operands: tuple[str, ...]
    network: Network
    nodes: tuple[int, ...]

    def located(self, items: TextItems) -> TextItems:
        """Return items with the indices of the nodes in the complete network."""
        return tuple(map(self._located, items))

    def _located(self, item: TextItem) -> TextItem:
        inner = tuple(map(self.located, _children(item)))
        match item:
            case LayerText() | ReadText():
                return replace(item, node=self.nodes[item.node])
            case MergeText():
                delay = None if item.delay is None else self.nodes[item.delay]
                return replace(item, operands=inner, node=self.nodes[item.node], delay=delay)
        if isinstance(item, RepeatText):
            return replace(item, items=inner[0], copies=tuple(map(self.located, item.copies)))
        return replace(item, items=inner[0])


@dataclass(frozen=True)
class _Call:
    """Call of a part.

    Attributes:
        nodes: Its nodes, in an order that is the same for all calls.
        output: Node of the output.
        reads: Outside node that each slot reads.
    """

    path: Path
    nodes: tuple[int, ...]
    output: int
    reads: Mapping[Slot, int]

    @cached_property
    def positions(self) -> dict[int, int]:
        """Position of each node in the call."""
        return {index: position for position, index in enumerate(self.nodes)}


def scopes(network: Network) -> tuple[TextScope, ...]:
    """Return the scopes of the parts of a network, and the scope of its body last.

    Raises:
        UnwritableNetwork: If nodes share weights, but not as the calls of a part.
    """
    return _Scopes(network).all()


class _Scopes:
    def __init__(self, network: Network) -> None:
        self._network = network
        paths: dict[Path, list[int]] = {}
        for index, node in enumerate(network):
            for depth, step in enumerate(node.path, 1):
                if step.kind == "part":
                    paths.setdefault(node.path[:depth], []).append(index)
            if node.weights is not None and not innermost_part(node.path):
                raise UnwritableNetwork(node, f"it shares the weights of {network.owner(node).name} outside of a part")
        # A part that is called once shares nothing, and is written in place.
        times = Counter(path[-1].label for path in paths)
        self._calls = {path: self._call(path, nodes) for path, nodes in paths.items() if times[path[-1].label] > 1}
        self._parts: dict[str, list[_Call]] = {}
        for path, call in self._calls.items():
            self._parts.setdefault(path[-1].label, []).append(call)
        self._operands = {title: self._slots(calls) for title, calls in self._parts.items()}

    def all(self) -> tuple[TextScope, ...]:
        parts = [self._scope(title, calls[0]) for title, calls in self._parts.items()]
        return *parts, self._scope("", None)

    def _call(self, path: Path, indices: Sequence[int]) -> _Call:
        nodes, graph = self._network.nodes, self._network.graph
        # Keys of inner calls are numbered through, so their labels count.
        inner = {
            index: [step.label if step.kind == "part" else step.key for step in nodes[index].path[len(path) :]]
            for index in indices
        }
        ordered = tuple(sorted(indices, key=lambda index: (inner[index], index)))
        inside = {*indices}
        outputs = [
            index
            for index in indices
            if index in self._network.output_indices or not inside.issuperset(graph.consumers[index])
        ]
        if len(outputs) != 1:
            raise UnwritableNetwork(nodes[indices[0]], f"a call of {path[-1].label} does not have exactly one output")
        reads = {
            (position, operand): source
            for position, index in enumerate(ordered)
            for operand, source in enumerate(nodes[index].inputs)
            if source not in inside
        }
        return _Call(path, ordered, outputs[0], reads)

    def _slots(self, calls: Sequence[_Call]) -> tuple[tuple[Slot, ...], ...]:
        """Return the slots of each operand of a part. Slots that read equal nodes in each call are one operand."""
        first = calls[0]
        for call in calls:
            self._check_equal(first, call)
        groups: dict[tuple[int, ...], list[Slot]] = {}
        # Operands are computed in order, before the call.
        for slot in sorted(first.reads, key=lambda slot: (first.reads[slot], first.nodes[slot[0]], slot[1])):
            groups.setdefault(tuple(call.reads[slot] for call in calls), []).append(slot)
        return tuple(map(tuple, groups.values()))

    def _check_equal(self, first: _Call, call: _Call) -> None:
        """Raise UnwritableNetwork if the nodes or the edges of two calls of a part differ."""
        nodes = self._network.nodes
        equal = len(first.nodes) == len(call.nodes) and first.reads.keys() == call.reads.keys()
        for one, other in zip(first.nodes, call.nodes, strict=False):
            sources = (
                [owner.positions.get(i) for i in nodes[index].sources] for owner, index in ((first, one), (call, other))
            )
            equal = equal and nodes[one].op == nodes[other].op and len({*map(tuple, sources)}) == 1
            equal = equal and self._network.owner(nodes[one]) is self._network.owner(nodes[other])
        if not equal or first.positions[first.output] != call.positions[call.output]:
            reason = f"the calls of {call.path[-1].label} differ"
            raise UnwritableNetwork(nodes[call.nodes[0]], reason)

    def _scope(self, title: str, call: _Call | None) -> TextScope:
        """Return the scope of a part in one of its calls, or of the body."""
        network = self._network
        depth = len(call.path) if call is not None else 0
        operands = self._operands[title] if call is not None else ()
        signals = [network.nodes[call.reads[slots[0]]].output for slots in operands] if call is not None else []
        names = self._operand_names(call, len(signals))
        nodes: list[Node] = []
        origins: list[int] = []
        for number, signal in enumerate(signals):
            op: Op = PartOperand(title=names[number]) if number else Input(shape=signal.shape, varies=signal.varies)
            nodes.append(Node(f"operand{number}" if number else "input", op, (0,) if number else (), signal))
            origins.append(call.reads[operands[number][0]] if call is not None else 0)
        number_of = {slot: number for number, slots in enumerate(operands) for slot in slots}
        places: dict[int, int] = {}

        def place(index: int, operand: int) -> int:
            """Return the new index of the input of a node."""
            source = network.nodes[index].inputs[operand]
            if source in places:
                return places[source]
            slot = (call.positions[index], operand) if call is not None else None
            if slot not in number_of:
                raise UnwritableNetwork(network.nodes[source], "it is read before it is computed")
            return number_of[slot]

        for index in sorted(call.nodes) if call is not None else range(len(network)):
            node = network.nodes[index]
            end = next((end for end in range(depth + 1, len(node.path) + 1) if node.path[:end] in self._calls), 0)
            if not end:
                inputs = tuple(place(index, operand) for operand in range(len(node.inputs)))
                new = replace(node, inputs=inputs, path=node.path[depth:], weights=None)
            elif index == self._calls[node.path[:end]].output:
                inner = self._calls[node.path[:end]]
                slots = [group[0] for group in self._operands[inner.path[-1].label]]
                inputs = tuple(place(inner.nodes[position], operand) for position, operand in slots)
                family = CalledPart if len(inputs) == 1 else CalledMerge
                path = node.path[depth : end - 1]
                new = Node(node.name, family(title=inner.path[-1].label), inputs, node.output, path, node.span)
            else:
                continue
            places[index] = len(nodes)
            nodes.append(new)
            origins.append(index)
        for position, node in enumerate(nodes):
            if node.delayed is not None:
                if node.delayed not in places:
                    raise UnwritableNetwork(node, "its source is inside a part")
                nodes[position] = replace(node, delayed=places[node.delayed])
        outputs = tuple((name, places[index]) for name, index in network.outputs) if call is None else ()
        output = places[network.output if call is None else call.output]
        settings = network.settings.model_copy(update={} if call is None else {"inputs": ()})
        inside = replace(network, nodes=tuple(nodes), output=output, outputs=outputs, settings=settings)
        return TextScope(title, names if len(names) > 1 else (), inside, tuple(origins))

    def _operand_names(self, call: _Call | None, number: int) -> tuple[str, ...]:
        """Return names of operands that no value in the part has."""
        if call is None:
            return ()
        steps = (step for index in call.nodes for step in self._network.nodes[index].path)
        taken = {step.label for step in steps if step.kind == "value"} | self._parts.keys()
        free = (name for n in count(1) if (name := f"operand{n}") not in taken)
        return tuple(next(free) for _ in range(number))
