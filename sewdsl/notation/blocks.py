"""Which parts of a network named blocks stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from sewdsl.diagnostics import Diagnostics
from sewdsl.elaborate.builder import NodeBuilder
from sewdsl.elaborate.calls import CallResolver
from sewdsl.elaborate.expressions import ExpansionLimitExceeded, Walker
from sewdsl.elaborate.frame import CallFrame
from sewdsl.elaborate.library import shipped_blocks
from sewdsl.elaborate.names import OWN_JOIN, OWN_NEURON, Vocabulary
from sewdsl.ir.network import Network
from sewdsl.ir.op import Activation
from sewdsl.ir.op import Join as JoinOp
from sewdsl.notation.shape import BlockPattern
from sewdsl.notation.structure import network_items
from sewdsl.notation.tree import BlockText, Item, Items, JoinText, LayerText, first_node, item_text, walk_items
from sewdsl.notation.wording import NodeTexts
from sewdsl.ops.input import Input
from sewdsl.source import BUILTIN, Source
from sewdsl.syntax.limits import DEFAULT_LIMITS
from sewdsl.syntax.parser import parse_compact
from sewdsl.syntax.tree import BlockDefinition, Body

Surroundings = tuple[tuple[int, ...], Activation | None]
"""What a call is expanded in: the shape of its input, and what ``SN`` means."""


class Blocks:
    """Finds what the blocks of a text could stand for in one network.

    A block is tried for what looks like it, and stands for it if its call expands to the same text.

    Args:
        network: The network.
        wording: The texts of its nodes.
        items: Its body, without repeats and calls.
        own: Blocks of the text's own, beside those that every text may call.
    """

    def __init__(
        self, network: Network, wording: NodeTexts, items: Items, own: Mapping[str, BlockDefinition] | None = None
    ) -> None:
        self._network, self._wording = network, wording
        self._vocabulary = Vocabulary(own or {}, shipped_blocks())
        shapes = [BlockPattern(block, self._vocabulary) for block in self._vocabulary.blocks.values()]
        called = {step.label for node in network for step in node.path if step.kind == "block"}
        self._joining = [shape for shape in shapes if shape.joins]
        self._plain = [shape for shape in shapes if not shape.joins and shape.title in called]
        self._nearest = _activations(items)
        self._calls: dict[tuple[str, Items, Surroundings], BlockText | None] = {}
        self._expansions: dict[tuple[str, Surroundings], Items | None] = {}

    def named(self, items: Items) -> Items:
        """A sequence with calls in place of joins and of what belongs to them; other joins are looked into.

        Of blocks without a join there are those calls that the network's paths name.
        """
        found: list[Item] = []
        at = 0
        while at < len(items):
            item = items[at]
            here = [shape for shape in self._plain if self._is_called(shape.title, items[at : at + shape.length])]
            block, length = self._best([*self._joining, *here], items, at)
            if block is not None:
                found.append(block)
            elif isinstance(item, JoinText):
                found.append(replace(item, branch=self.named(item.branch), shortcut=self.named(item.shortcut)))
            else:
                found.append(item)
            at += length
        return tuple(found)

    def calls(self, items: Items) -> Iterator[tuple[int, int, BlockText]]:
        """What blocks without a join could stand for in a sequence: (begin, end, call).

        Nothing tells layers in a row from such a block: they are taken for a call only in a network that has calls of
        it, so that equal layers are written alike, called or not.
        """
        for at in range(len(items)):
            block, length = self._best(self._plain, items, at)
            if block is not None:
                yield at, at + length, block

    def _best(self, shapes: list[BlockPattern], items: Items, at: int) -> tuple[BlockText | None, int]:
        """The call with the fewest arguments and least use of its surroundings, and how many items it stands for."""
        found = []
        for order, shape in enumerate(shapes):
            part = items[at : at + shape.length]
            if shape.may_be(part) and (block := self._call(shape, part)):
                loose = len({OWN_NEURON, OWN_JOIN} & shape.names)
                found.append((block.arguments.count("="), loose, order, block, shape.length))
        return min(found)[3:] if found else (None, 1)

    def _is_called(self, title: str, items: Items) -> bool:
        """Whether the paths of the nodes say that some layers are one call of a block."""
        ways = [self._network.nodes[item.node].path for item in items if isinstance(item, LayerText)]
        if len(ways) < len(items) or not ways:
            return False
        return any(
            step.kind == "block"
            and step.label == title
            and all(way[: depth + 1] == ways[0][: depth + 1] for way in ways)
            for depth, step in enumerate(ways[0])
        )

    def _call(self, shape: BlockPattern, items: Items) -> BlockText | None:
        """The call of a block that expands to some items."""
        begin = first_node(items[0])
        (source, *_) = self._network.nodes[begin].inputs
        neuron = self._network.settings.neuron or self._nearest[begin]
        surroundings = self._network.nodes[source].output.shape, neuron
        key = shape.title, items, surroundings
        if key not in self._calls:
            self._calls[key] = self._tried(shape, items, surroundings)
        known = self._calls[key]
        return replace(known, items=items) if known is not None else None

    def _tried(self, shape: BlockPattern, items: Items, surroundings: Surroundings) -> BlockText | None:
        own = tuple(self._own(shape, items, surroundings[1]))
        for values in shape.guesses(items):
            block = BlockText(shape.title, ", ".join(filter(None, (shape.call(values), *own))), items)
            if self._expand(item_text(block), surroundings) == items:
                return block
        return None

    def _own(self, shape: BlockPattern, items: Items, neuron: Activation | None) -> Iterator[str]:
        """``g=IAND`` and ``SN=LIF``, where the surroundings say otherwise."""
        ops = [item.op for item in walk_items(items) if isinstance(item, LayerText | JoinText)]
        join = next((op for op in ops if isinstance(op, JoinOp)), None)
        activation = next((op for op in ops if isinstance(op, Activation)), None)
        if join is not None and OWN_JOIN in shape.names and join != self._network.settings.join:
            yield f"{OWN_JOIN}={self._wording.alone(join)}"
        if activation is not None and OWN_NEURON in shape.names and activation != neuron:
            yield f"{OWN_NEURON}={self._wording.alone(activation)}"

    def _expand(self, call: str, surroundings: Surroundings) -> Items | None:
        """What a call stands for; None if there is something wrong with it."""
        key = call, surroundings
        if key not in self._expansions:
            self._expansions[key] = self._expanded(call, *surroundings)
        return self._expansions[key]

    def _expanded(self, call: str, shape: tuple[int, ...], neuron: Activation | None) -> Items | None:
        diagnostics, builder = Diagnostics(), NodeBuilder()
        settings = self._network.settings
        builder.add("input", Input(shape=shape), (), (), BUILTIN)
        calls = CallResolver(self._vocabulary, settings.neuron, diagnostics)
        walker = Walker(builder, calls, self._vocabulary, diagnostics, DEFAULT_LIMITS)
        statements = parse_compact(Source("", call), diagnostics).statements
        if not (statements and isinstance(statements[0], Body)):
            return None
        try:
            place = walker.sequence(statements[0].expression, 0, CallFrame(settings.join, neuron, neuron))
        except ExpansionLimitExceeded:
            return None
        if diagnostics.errors or not place:
            return None
        inside = Network("", tuple(builder.nodes), place, settings)
        return network_items(inside, lambda index: self._wording.alone(builder.nodes[index].op))


def _activations(items: Items) -> dict[int, Activation | None]:
    """For each node that an item begins with, the activation that is written nearest before it."""
    found: dict[int, Activation | None] = {}
    nearest: Activation | None = None
    for item in walk_items(items):
        if isinstance(item, LayerText | JoinText):
            found[item.node] = nearest
        if isinstance(item, LayerText) and isinstance(item.op, Activation):
            nearest = item.op
    return found
