"""Parts in the text of a network: each call of a part becomes one node, and each part has a network of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node, innermost_part
from sewdsl.ir.op import Op
from sewdsl.ir.parts import Path, SharedCall, SharedPart
from sewdsl.ir.wiring import UnstructuredError
from sewdsl.light_dataclass import dataclass
from sewdsl.notation.item_text import (
    LayerText,
    MergeText,
    ReadText,
    RepeatText,
    TextItem,
    TextItems,
    UnwritableNetwork,
    item_nodes,
    network_items,
)
from sewdsl.notation.item_text import child_sequences as _children
from sewdsl.notation.part_calls import CalledMerge, CalledPart, PartOperand, is_call
from sewdsl.ops.input import Input


@dataclass(frozen=True)
class TextScope:
    """Network in which each call of a part is one node."""

    title: str
    """Name of the part, or empty for the body."""
    operands: tuple[str, ...]
    """Names of the operands, or empty for a single one."""
    network: Network
    nodes: tuple[int, ...]
    """Index in the complete network of each node, or of the output of the call that it represents."""

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


def scopes(network: Network) -> tuple[TextScope, ...]:
    """Return the scopes of the parts of a network, and the scope of its body last.

    Raises:
        UnwritableNetwork: If nodes share weights, but not as the calls of a part.
    """
    return _Scopes(network).all()


def text_order(network: Network) -> list[int]:
    """Return the nodes after the inputs in the order of the compiled text, or raise UnwritableNetwork."""
    return [*_Scopes(network).order()]


class _Scopes:
    def __init__(self, network: Network) -> None:
        self._network = network
        nodes, graph = network.nodes, network.graph
        for node in network:
            if node.weights is not None and not innermost_part(node.path):
                raise UnwritableNetwork(node, f"it shares the weights of {network.owner(node).name} outside of a part")
        try:
            # A part that is called once shares nothing, and is written in place.
            self._parts = {title: part for title, part in network.parts.items() if len(part.calls) > 1}
        except UnstructuredError as error:
            raise UnwritableNetwork(nodes[error.node or 0], error.why) from None
        self._calls = {call.path: (part, call) for part in self._parts.values() for call in part.calls}
        self._outputs: dict[Path, int] = {}
        positions: dict[str, int] = {}
        for path, (part, call) in self._calls.items():
            ends = [
                index
                for index in call.nodes
                if index in network.output_indices or not call.positions.keys() >= {*graph.consumers[index]}
            ]
            if len(ends) != 1:
                reason = f"a call of {part.title} does not have exactly one output"
                raise UnwritableNetwork(nodes[min(call.nodes)], reason)
            self._outputs[path] = ends[0]
            if positions.setdefault(part.title, call.positions[ends[0]]) != call.positions[ends[0]]:
                raise UnwritableNetwork(nodes[call.nodes[0]], f"the calls of {part.title} differ")

    def all(self) -> tuple[TextScope, ...]:
        parts = [self._scope(part, part.calls[0]) for part in self._parts.values()]
        return *parts, self._scope(None, None)

    def order(self) -> Iterator[int]:
        """Yield the nodes in the order of the compiled text, in which a call has the nodes of its part."""
        rows: dict[str, list[tuple[int, str]]] = {}
        for scope in self.all():
            taken = {*self._parts, *scope.operands}
            ops = (
                (index, scope.network.nodes[index].op)
                for index in item_nodes(network_items(scope.network, taken=taken))
            )
            rows[scope.title] = [
                (scope.nodes[index], op.title if is_call(op) else "")  # type: ignore[attr-defined]
                for index, op in ops
                if type(op) is not PartOperand
            ]
        ends = {(part.title, self._outputs[path]): call for path, (part, call) in self._calls.items()}

        def expand(title: str, call: SharedCall | None) -> Iterator[int]:
            first = self._parts[title].calls[0] if call is not None else None
            for index, called in rows[title]:
                own = call.nodes[first.positions[index]] if call is not None and first is not None else index
                if called:
                    yield from expand(called, ends[called, own])
                else:
                    yield own

        yield from expand("", None)

    def _scope(self, part: SharedPart | None, call: SharedCall | None) -> TextScope:
        """Return the scope of a part in one of its calls, or of the body."""
        network = self._network
        depth = len(call.path) if call is not None else 0
        operands = part.operands if part is not None else ()
        sources = part.arguments(call) if part is not None and call is not None else ()
        free = (name for n in count(1) if (name := f"operand{n}") not in self._parts)
        names = tuple(next(free) for _ in operands)
        nodes: list[Node] = []
        origins: list[int] = []
        for operand_index, source in enumerate(sources):
            signal = network.nodes[source].output
            op: Op = (
                PartOperand(title=names[operand_index])
                if operand_index
                else Input(shape=signal.shape, varies=signal.varies)
            )
            name = names[operand_index] if operand_index else "input"
            nodes.append(Node(name, op, (0,) if operand_index else (), signal))
            origins.append(source)
        number_of = {slot: operand_index for operand_index, slots in enumerate(operands) for slot in slots}
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
            elif index == self._outputs[node.path[:end]]:
                called, inner = self._calls[node.path[:end]]
                slots = (group[0] for group in called.operands)
                inputs = tuple(place(inner.nodes[position], operand) for position, operand in slots)
                family = CalledPart if len(inputs) == 1 else CalledMerge
                path = node.path[depth : end - 1]
                new = Node(node.name, family(title=called.title), inputs, node.output, path, node.span)
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
        output = places[network.output if call is None else self._outputs[call.path]]
        settings = network.settings.model_copy(update={} if call is None else {"inputs": ()})
        inside = replace(network, nodes=tuple(nodes), output=output, outputs=outputs, settings=settings)
        title = part.title if part is not None else ""
        return TextScope(title, names if len(names) > 1 else (), inside, tuple(origins))
