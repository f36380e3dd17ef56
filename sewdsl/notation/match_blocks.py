"""Which parts of a network are calls of named blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from itertools import chain, islice, product

from sewdsl.elaborate.block_calls import block_title
from sewdsl.elaborate.call_frame import CallFrame
from sewdsl.elaborate.definitions import shipped_blocks
from sewdsl.elaborate.expressions import ExpansionLimitExceeded, Walker
from sewdsl.elaborate.node_builder import NodeBuilder
from sewdsl.elaborate.resolve_calls import CallResolver
from sewdsl.elaborate.vocabulary import Vocabulary
from sewdsl.ir.network import Network
from sewdsl.ir.op import Activation
from sewdsl.ir.op import Join as JoinOp
from sewdsl.ir.printed_values import number_text
from sewdsl.light_dataclass import dataclass
from sewdsl.notation.item_text import (
    BlockText,
    LayerText,
    MergeText,
    TextItem,
    TextItems,
    first_node,
    item_text,
    network_items,
    walk_items,
    with_sequences,
)
from sewdsl.notation.kind_text import NodeTexts
from sewdsl.ops.input import Input
from sewdsl.reporter import Reporter
from sewdsl.source import BUILTIN, Source
from sewdsl.syntax import tree
from sewdsl.syntax.lexicon import IDENTITY, OWN_JOIN, OWN_NEURON
from sewdsl.syntax.parser import parse_compact

MAX_GUESSES = 200
"""Combinations of values that are tried for the parameters of one call."""


@dataclass(frozen=True)
class BlockPattern:
    """Tells quickly what a block cannot represent."""

    block: tree.BlockDefinition
    vocabulary: Vocabulary

    @cached_property
    def title(self) -> str:
        """The block's name."""
        return block_title(self.block)

    @property
    def length(self) -> int:
        """Items of its sequence."""
        return len(self.block.expression.items)

    @cached_property
    def joins(self) -> bool:
        """Whether there is a join in it, outside of others."""
        return any(isinstance(item, tree.MergeOf) for item in self.block.expression.items)

    @cached_property
    def names(self) -> frozenset[str]:
        """All names in it: ``BN``, ``SN``, ``g``."""
        return frozenset(call.name.plain or "" for call in _calls(self.block.expression))

    @cached_property
    def pattern(self) -> Pattern:
        """The kinds of its items."""
        return _pattern(self.block.expression, self.vocabulary)

    def may_be(self, items: TextItems) -> bool:
        """Whether the kinds of some items are those of the block."""
        return _alike(self.pattern, items)

    @cached_property
    def named(self) -> Mapping[str, frozenset[str]]:
        """Of each parameter, the arguments that are it and nothing else: ``scale`` of ``scale=$(scale)``."""
        found: dict[str, set[str]] = {}
        for argument in chain.from_iterable(call.arguments for call in _calls(self.block.expression)):
            match argument:
                case tree.Argument(name=str(name), value=tree.Interpolation(formula=tree.Parameter(name=parameter))):
                    found.setdefault(parameter, set()).add(name)
        return {parameter: frozenset(names) for parameter, names in found.items()}

    @cached_property
    def defaults(self) -> dict[str, float]:
        """Those of the parameters that are numbers."""
        return {p.name: p.default.value for p in self.block.parameters if isinstance(p.default, tree.Number)}

    def guesses(self, items: TextItems) -> Iterator[dict[str, float]]:
        """Values for the parameters, from the numbers that are in some items: c of ``c32k3``, s of ``s2``.

        Where there are none, the default is one; of very many combinations the first.
        """
        ops = [item.op for item in walk_items(items) if isinstance(item, LayerText | MergeText)]
        found: dict[str, list[float]] = {}
        for parameter in self.block.parameters:
            letter, named = parameter.name, self.named.get(parameter.name, frozenset())
            values = [
                value[0] if isinstance(value, tuple) else value
                for op in ops
                for argument, value in op
                if argument in named or op.letters().get("" if op.kind == letter else letter) == argument
            ]
            numbers = dict.fromkeys(value for value in values if type(value) in {int, float} and value >= 0)
            found[letter] = [*numbers] or [self.defaults[name] for name in (letter,) if name in self.defaults]
        for chosen in islice(product(*found.values()), MAX_GUESSES):
            yield dict(zip(found, chosen, strict=True))

    def call(self, values: Mapping[str, float]) -> str:
        """The arguments of a call: ``c128s2, heads=2``; a default that is a number is not written."""
        given = {name: number_text(value) for name, value in values.items() if self.defaults.get(name) != value}
        compact = "".join(f"{name}{value}" for name, value in given.items() if len(name) == 1)
        return ", ".join(filter(None, (compact, *(f"{name}={given[name]}" for name in given if len(name) > 1))))


@dataclass(frozen=True)
class _Merged:
    """A merge; each operand may be one of several."""

    name: str | None
    operands: tuple[tuple[Pattern, ...], ...]


Pattern = tuple[str | _Merged | None, ...]
"""Kinds of layers, ``SN`` and joins, in order; None is like nothing."""


def _pattern(written: tree.Sequence, vocabulary: Vocabulary) -> Pattern:
    return tuple(
        _kind(item, vocabulary)
        for item in written.items
        if not (isinstance(item, tree.Call) and item.name.plain == IDENTITY)
    )


def _kind(item: tree.Item, vocabulary: Vocabulary) -> str | _Merged | None:
    match item:
        case tree.Call(name=name) if name.plain == OWN_NEURON:
            return OWN_NEURON
        case tree.Call(name=name) if isinstance(name.parts[0], tree.Word):
            return vocabulary.symbol(name.parts[0].text)
        case tree.MergeOf(name=name, operands=operands):
            ways = ((way.first, way.second) if isinstance(way, tree.Alternative) else (way,) for way in operands)
            return _Merged(name.plain, tuple(tuple(_pattern(each, vocabulary) for each in way) for way in ways))
        case _:
            return None


def _alike(pattern: Pattern, items: Sequence[TextItem]) -> bool:
    if len(pattern) != len(items):
        return False
    for kind, item in zip(pattern, items, strict=True):
        if isinstance(item, LayerText):
            if kind != item.op.kind and not (kind == OWN_NEURON and isinstance(item.op, Activation)):
                return False
        elif not (
            isinstance(kind, _Merged)
            and isinstance(item, MergeText)
            and (kind.name == item.op.kind or (kind.name == OWN_JOIN and isinstance(item.op, JoinOp)))
            and len(kind.operands) == len(item.operands)
            and all(
                any(_alike(way, operand) for way in ways)
                for ways, operand in zip(kind.operands, item.operands, strict=True)
            )
        ):
            return False
    return True


def _calls(node: tree.Sequence | tree.Alternative | tree.Item) -> Iterator[tree.Call | tree.MergeOf]:
    """All calls and merges in an expression."""
    match node:
        case tree.Sequence(items=items):
            for item in items:
                yield from _calls(item)
        case tree.Alternative(first=one, second=other):
            yield from (*_calls(one), *_calls(other))
        case tree.Repeat(body=body):
            yield from _calls(body)
        case tree.MergeOf(operands=operands):
            yield node
            for operand in operands:
                yield from _calls(operand)
        case tree.Call():
            yield node


Surroundings = tuple[tuple[int, ...], Activation | None]
"""What a call is expanded in: the shape of its input, and what ``SN`` means."""


class Blocks:
    """Finds what the blocks of a text could represent in one network.

    A block is tried for what looks like it, and represents it if its call expands to the same text.

    Args:
        items: Its body, without repeats and calls.
        own: Blocks of the text's own, in addition to those that every text may call.
    """

    def __init__(
        self,
        network: Network,
        wording: NodeTexts,
        items: TextItems,
        own: Mapping[str, tree.BlockDefinition] | None = None,
    ) -> None:
        self._network, self._wording = network, wording
        self._vocabulary = Vocabulary(own or {}, shipped_blocks())
        known = (block for block in self._vocabulary.blocks.values() if not (block.operands or block.lets))
        shapes = [BlockPattern(block, self._vocabulary) for block in known]
        called = {step.label for node in network for step in node.path if step.kind == "block"}
        self._joining = [shape for shape in shapes if shape.joins]
        self._plain = [shape for shape in shapes if not shape.joins and shape.title in called]
        self._nearest = _activations(items)
        self._calls: dict[tuple[str, TextItems, Surroundings], BlockText | None] = {}
        self._expanded = cache(self._expand)

    def named(self, items: TextItems) -> TextItems:
        """A sequence with calls in place of joins and of what belongs to them; other joins are looked into.

        Of blocks without a join there are those calls that the network's paths name.
        """
        found: list[TextItem] = []
        at = 0
        while at < len(items):
            here = [shape for shape in self._plain if self._is_called(shape.title, items[at : at + shape.length])]
            block, length = self._best([*self._joining, *here], items, at)
            found.append(with_sequences(items[at], self.named) if block is None else block)
            at += length
        return tuple(found)

    def calls(self, items: TextItems) -> Iterator[tuple[int, int, BlockText]]:
        """What blocks without a join could represent in a sequence: (begin, end, call).

        Nothing tells layers in a row from such a block: they are taken for a call only in a network that has calls of
        it, so that equal layers are written alike, called or not.
        """
        for at in range(len(items)):
            block, length = self._best(self._plain, items, at)
            if block is not None:
                yield at, at + length, block

    def _best(self, shapes: list[BlockPattern], items: TextItems, at: int) -> tuple[BlockText | None, int]:
        """The call with the fewest arguments and least use of its surroundings, and how many items it represents."""
        found = []
        for order, shape in enumerate(shapes):
            part = items[at : at + shape.length]
            if shape.may_be(part) and (block := self._call(shape, part)):
                loose = len({OWN_NEURON, OWN_JOIN} & shape.names)
                found.append((block.arguments.count("="), loose, order, block, shape.length))
        return min(found)[3:] if found else (None, 1)

    def _is_called(self, title: str, items: TextItems) -> bool:
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

    def _call(self, shape: BlockPattern, items: TextItems) -> BlockText | None:
        """The call of a block that expands to some items."""
        begin = first_node(items[0])
        inputs = self._network.nodes[begin].inputs
        if not inputs:
            return None
        source = inputs[0]
        neuron = self._network.settings.neuron or self._nearest[begin]
        surroundings = self._network.nodes[source].output.shape, neuron
        key = shape.title, items, surroundings
        if key not in self._calls:
            self._calls[key] = self._tried(shape, items, surroundings)
        known = self._calls[key]
        return replace(known, items=items) if known is not None else None

    def _tried(self, shape: BlockPattern, items: TextItems, surroundings: Surroundings) -> BlockText | None:
        own = tuple(self._own(shape, items, surroundings[1]))
        for values in shape.guesses(items):
            block = BlockText(shape.title, ", ".join(filter(None, (shape.call(values), *own))), items)
            if self._expanded(item_text(block), *surroundings) == items:
                return block
        return None

    def _own(self, shape: BlockPattern, items: TextItems, neuron: Activation | None) -> Iterator[str]:
        """``g=IAND`` and ``SN=LIF``, where the surroundings say otherwise."""
        ops = [item.op for item in walk_items(items) if isinstance(item, LayerText | MergeText)]
        join = next((op for op in ops if isinstance(op, JoinOp)), None)
        activation = next((op for op in ops if isinstance(op, Activation)), None)
        if join is not None and OWN_JOIN in shape.names and join != self._network.settings.join:
            yield f"{OWN_JOIN}={self._wording.alone(join)}"
        if activation is not None and OWN_NEURON in shape.names and activation != neuron:
            yield f"{OWN_NEURON}={self._wording.alone(activation)}"

    def _expand(self, call: str, shape: tuple[int, ...], neuron: Activation | None) -> TextItems | None:
        settings = self._network.settings
        reporter, builder = Reporter(), NodeBuilder(settings.steps)
        builder.add("input", Input(shape=shape), (), (), BUILTIN)
        calls = CallResolver(self._vocabulary, settings.neuron, reporter)
        walker = Walker(builder, calls)
        statements = reporter.take(parse_compact(Source("", call))).statements
        if not (statements and isinstance(statements[0], tree.Body)):
            return None
        try:
            place = walker.sequence(statements[0].expression, 0, CallFrame(settings.join, neuron, neuron))
        except ExpansionLimitExceeded:
            return None
        if reporter.errors or not place:
            return None
        inside = Network("", tuple(builder.nodes), place, settings)
        return network_items(inside, lambda index: self._wording.alone(builder.nodes[index].op))


def _activations(items: TextItems) -> dict[int, Activation | None]:
    """For each node that an item begins with, the activation that is written nearest before it."""
    found: dict[int, Activation | None] = {}
    nearest: Activation | None = None
    for item in walk_items(items):
        if isinstance(item, LayerText | MergeText):
            found[item.node] = nearest
        if isinstance(item, LayerText) and isinstance(item.op, Activation):
            nearest = item.op
    return found
