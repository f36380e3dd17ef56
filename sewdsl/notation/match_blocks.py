"""Recognition of block calls in the items of a network."""

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
from sewdsl.ir.op import Activation, Op
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
from sewdsl.notation.part_calls import is_call
from sewdsl.ops import find
from sewdsl.ops.input import Input
from sewdsl.reporter import Reporter
from sewdsl.source import BUILTIN, Source
from sewdsl.syntax import tree
from sewdsl.syntax.lexicon import IDENTITY, OWN_JOIN, OWN_NEURON
from sewdsl.syntax.parser import parse_compact

MAX_GUESSES = 200
"""Largest number of parameter combinations to try for one call."""


@dataclass(frozen=True)
class BlockPattern:
    """Quick test of whether items can be a call of a block."""

    block: tree.BlockDefinition
    vocabulary: Vocabulary

    @cached_property
    def title(self) -> str:
        """Name of the block."""
        return block_title(self.block)

    @property
    def length(self) -> int:
        """Number of items of the body."""
        return _length(self.block.expression)

    @cached_property
    def joins(self) -> bool:
        """Whether the body has a merge at its top level."""
        return any(isinstance(item, tree.MergeOf) and not _encloses(item) for item in self.block.expression.items)

    @cached_property
    def names(self) -> frozenset[str]:
        """All names in the body: ``BN``, ``SN``, ``g``."""
        return frozenset(call.name.plain or "" for call in self._calls)

    @property
    def _calls(self) -> Iterator[tree.Call | tree.MergeOf]:
        return (each for each in tree.walk_syntax(self.block.expression) if isinstance(each, tree.Call | tree.MergeOf))

    @cached_property
    def pattern(self) -> Pattern:
        """Kinds of the items."""
        return _pattern(self.block.expression, self.vocabulary)

    def may_be(self, items: TextItems) -> bool:
        """Return whether the kinds of the given items match the block."""
        return _matches(self.pattern, items)

    @cached_property
    def named(self) -> Mapping[str, frozenset[str]]:
        """Arguments equal to a parameter, e.g. ``scale`` in ``scale=$(scale)``, by parameter."""
        arguments_by_parameter: dict[str, set[str]] = {}
        for argument in chain.from_iterable(call.arguments for call in self._calls):
            match argument:
                case tree.Argument(name=str(name), value=tree.Interpolation(formula=tree.Parameter(name=parameter))):
                    arguments_by_parameter.setdefault(parameter, set()).add(name)
        return {parameter: frozenset(names) for parameter, names in arguments_by_parameter.items()}

    @cached_property
    def defaults(self) -> dict[str, float]:
        """Numeric defaults of the parameters."""
        return {p.name: p.default.value for p in self.block.parameters if isinstance(p.default, tree.Number)}

    def guesses(self, items: TextItems) -> Iterator[dict[str, float]]:
        """Yield parameter values that occur in the items, e.g. c in ``c32k3`` and s in ``s2``, else defaults.

        Stops after ``MAX_GUESSES`` combinations.
        """
        ops = [item.op for item in walk_items(items) if isinstance(item, LayerText | MergeText)]
        candidates: dict[str, list[float]] = {}
        for parameter in self.block.parameters:
            letter, named = parameter.name, self.named.get(parameter.name, frozenset())
            values = [
                value[0] if isinstance(value, tuple) else value
                for op in ops
                for argument, value in op
                if argument in named or op.letters().get("" if op.kind == letter else letter) == argument
            ]
            # type() instead of isinstance(), because bool is a subclass of int.
            numbers = dict.fromkeys(value for value in values if type(value) in {int, float} and value >= 0)
            candidates[letter] = [*numbers] or [self.defaults[name] for name in (letter,) if name in self.defaults]
        for combination in islice(product(*candidates.values()), MAX_GUESSES):
            yield dict(zip(candidates, combination, strict=True))

    def call(self, values: Mapping[str, float]) -> str:
        """Return the arguments of a call without numeric defaults: ``c128s2, heads=2``."""
        texts = {name: number_text(value) for name, value in values.items() if self.defaults.get(name) != value}
        compact = "".join(f"{name}{value}" for name, value in texts.items() if len(name) == 1)
        return ", ".join(filter(None, (compact, *(f"{name}={texts[name]}" for name in texts if len(name) > 1))))


@dataclass(frozen=True)
class _MergePattern:
    name: str | None
    operands: tuple[tuple[Pattern, ...], ...]


Pattern = tuple[str | _MergePattern | None, ...]
"""Kinds of layers, ``SN`` and merges, in order. None matches no item."""


def _encloses(item: tree.Item) -> bool:
    """Return whether an item is two layers with a body between them, ``Swap[ … ]``."""
    kind = find(item.name.plain or "") if isinstance(item, tree.MergeOf) else None
    return kind is not None and issubclass(kind, Op) and kind.encloses


def _length(sequence: tree.Sequence) -> int:
    """Return the number of items, with layers in the brackets of a kind with a body."""
    return sum(
        2 + _length(item.operands[0])
        if isinstance(item, tree.MergeOf) and _encloses(item) and isinstance(item.operands[0], tree.Sequence)
        else 1
        for item in sequence.items
    )


def _pattern(sequence: tree.Sequence, vocabulary: Vocabulary) -> Pattern:
    pattern: list[str | _MergePattern | None] = []
    for item in sequence.items:
        if isinstance(item, tree.MergeOf) and _encloses(item) and isinstance(item.operands[0], tree.Sequence):
            pattern += [item.name.plain, *_pattern(item.operands[0], vocabulary), item.name.plain]
        # An identity adds no item.
        elif not (isinstance(item, tree.Call) and item.name.plain == IDENTITY):
            pattern.append(_kind(item, vocabulary))
    return tuple(pattern)


def _kind(item: tree.Item, vocabulary: Vocabulary) -> str | _MergePattern | None:
    match item:
        case tree.Call(name=name) if name.plain == OWN_NEURON:
            return OWN_NEURON
        case tree.Call(name=name) if isinstance(name.parts[0], tree.Word):
            return vocabulary.symbol(name.parts[0].text)
        case tree.MergeOf(name=name, operands=operands):
            alternatives = (
                (operand.first, operand.second) if isinstance(operand, tree.Alternative) else (operand,)
                for operand in operands
            )
            patterns = (tuple(_pattern(each, vocabulary) for each in sequences) for sequences in alternatives)
            return _MergePattern(name.plain, tuple(patterns))
        case _:
            return None


def _matches(pattern: Pattern, items: Sequence[TextItem]) -> bool:
    if len(pattern) != len(items):
        return False
    for kind, item in zip(pattern, items, strict=True):
        if isinstance(item, LayerText):
            if kind != item.op.kind and not (kind == OWN_NEURON and isinstance(item.op, Activation)):
                return False
        elif not (
            isinstance(kind, _MergePattern)
            and isinstance(item, MergeText)
            and (kind.name == item.op.kind or (kind.name == OWN_JOIN and isinstance(item.op, JoinOp)))
            and len(kind.operands) == len(item.operands)
            and all(
                any(_matches(alternative, operand) for alternative in alternatives)
                for alternatives, operand in zip(kind.operands, item.operands, strict=True)
            )
        ):
            return False
    return True


Surroundings = tuple[tuple[int, ...], Activation | None]
"""Context of a call: the shape of its input, and the neuron of ``SN``."""


class Blocks:
    """Search for block calls in one network.

    A block that matches the kinds of items is a call if its expansion has the same text.

    Args:
        items: Body without repeats and calls.
        own: Blocks defined in the text, in addition to shipped blocks.
    """

    def __init__(
        self,
        network: Network,
        node_texts: NodeTexts,
        items: TextItems,
        own: Mapping[str, tree.BlockDefinition] | None = None,
    ) -> None:
        self._network, self._node_texts = network, node_texts
        self._vocabulary = Vocabulary(own or {}, shipped_blocks())
        # Calls with operands or named values are not supported.
        blocks = (block for block in self._vocabulary.blocks.values() if not (block.operands or block.lets))
        patterns = [BlockPattern(block, self._vocabulary) for block in blocks]
        called = {step.label for node in network for step in node.path if step.kind == "block"}
        self._with_join = [pattern for pattern in patterns if pattern.joins]
        self._without_join = [pattern for pattern in patterns if not pattern.joins and pattern.title in called]
        self._nearest = _activations(items)
        self._calls: dict[tuple[str, TextItems, Surroundings], BlockText | None] = {}
        self._expanded = cache(self._expand)

    def named(self, items: TextItems) -> TextItems:
        """Replace joins and the items that belong to them by block calls, also in operands of other merges.

        Blocks without a join are only called where the paths of the network name them.
        """
        named_items: list[TextItem] = []
        index = 0
        while index < len(items):
            called = [
                pattern
                for pattern in self._without_join
                if self._is_called(pattern.title, items[index : index + pattern.length])
            ]
            block, length = self._best([*self._with_join, *called], items, index)
            named_items.append(with_sequences(items[index], self.named) if block is None else block)
            index += length
        return tuple(named_items)

    def calls(self, items: TextItems) -> Iterator[tuple[int, int, BlockText]]:
        """Yield all possible calls of blocks without a join, as (start, end, call).

        Consecutive layers look like such a call. Only blocks that the network calls somewhere are considered, so that
        equal layers have equal texts.
        """
        for index in range(len(items)):
            block, length = self._best(self._without_join, items, index)
            if block is not None:
                yield index, index + length, block

    def _best(self, patterns: list[BlockPattern], items: TextItems, index: int) -> tuple[BlockText | None, int]:
        """Return the call with the fewest named arguments at an index, and its number of items, or (None, 1)."""
        candidates = []
        for order, pattern in enumerate(patterns):
            part = items[index : index + pattern.length]
            if pattern.may_be(part) and (block := self._call(pattern, part)):
                dependence = len({OWN_NEURON, OWN_JOIN} & pattern.names)
                # Orders are distinct, so min() never compares the blocks.
                candidates.append((block.arguments.count("="), dependence, order, block, pattern.length))
        return min(candidates)[3:] if candidates else (None, 1)

    def _is_called(self, title: str, items: TextItems) -> bool:
        """Return whether the paths of the given layers belong to one call of a block."""
        paths = [self._network.nodes[item.node].path for item in items if isinstance(item, LayerText)]
        if len(paths) < len(items) or not paths:
            return False
        return any(
            step.kind == "block"
            and step.label == title
            and all(path[: depth + 1] == paths[0][: depth + 1] for path in paths)
            for depth, step in enumerate(paths[0])
        )

    def _call(self, pattern: BlockPattern, items: TextItems) -> BlockText | None:
        """Return a call of a block that expands to the given items, or None."""
        first = first_node(items[0])
        inputs = self._network.nodes[first].inputs
        if not inputs:
            return None
        source = inputs[0]
        neuron = self._network.settings.neuron or self._nearest[first]
        # The cache makes copies of a repeat cheap: they have equal items and surroundings.
        surroundings = self._network.nodes[source].output.shape, neuron
        key = pattern.title, items, surroundings
        if key not in self._calls:
            self._calls[key] = self._search_call(pattern, items, surroundings)
        block = self._calls[key]
        return replace(block, items=items) if block is not None else None

    def _search_call(self, pattern: BlockPattern, items: TextItems, surroundings: Surroundings) -> BlockText | None:
        overrides = tuple(self._overrides(pattern, items, surroundings[1]))
        for values in pattern.guesses(items):
            block = BlockText(pattern.title, ", ".join(filter(None, (pattern.call(values), *overrides))), items)
            if self._expanded(item_text(block), *surroundings) == items:
                return block
        return None

    def _overrides(self, pattern: BlockPattern, items: TextItems, neuron: Activation | None) -> Iterator[str]:
        """Yield ``g=IAND`` and ``SN=LIF`` if the join or neuron differs from the surroundings."""
        ops = [item.op for item in walk_items(items) if isinstance(item, LayerText | MergeText)]
        join = next((op for op in ops if isinstance(op, JoinOp)), None)
        activation = next((op for op in ops if isinstance(op, Activation)), None)
        if join is not None and OWN_JOIN in pattern.names and join != self._network.settings.join:
            yield f"{OWN_JOIN}={self._node_texts.alone(join)}"
        if activation is not None and OWN_NEURON in pattern.names and activation != neuron:
            yield f"{OWN_NEURON}={self._node_texts.alone(activation)}"

    def _expand(self, call: str, shape: tuple[int, ...], neuron: Activation | None) -> TextItems | None:
        # A block flows from the value before its call, not from the named inputs of the file.
        settings = self._network.settings.model_copy(update={"inputs": ()})
        reporter, builder = Reporter(), NodeBuilder(settings.steps)
        builder.add("input", Input(shape=shape), (), (), BUILTIN)
        calls = CallResolver(self._vocabulary, settings.neuron, reporter)
        walker = Walker(builder, calls)
        statements = reporter.take(parse_compact(Source("", call))).statements
        if not (statements and isinstance(statements[0], tree.Body)):
            return None
        try:
            output = walker.sequence(statements[0].expression, 0, CallFrame(settings.join, neuron, neuron))
        except ExpansionLimitExceeded:
            return None
        if reporter.errors or not output:
            return None
        expanded = Network("", tuple(builder.nodes), output, settings)
        return network_items(expanded, lambda index: self._node_texts.alone(builder.nodes[index].op))


def _activations(items: TextItems) -> dict[int, Activation | None]:
    """Return the last activation before each node, in the order of the text."""
    activations: dict[int, Activation | None] = {}
    nearest: Activation | None = None
    for item in walk_items(items):
        if isinstance(item, LayerText | MergeText):
            activations[item.node] = nearest
        if isinstance(item, LayerText) and isinstance(item.op, Activation):
            nearest = item.op
        elif isinstance(item, LayerText | MergeText) and is_call(item.op):
            nearest = None  # The part may contain an activation.
    return activations
