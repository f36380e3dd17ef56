"""Definitions of blocks for parts that occur several times, possibly with different widths and strides."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from string import ascii_uppercase

from sewdsl.elaborate.compact_arguments import split_arguments
from sewdsl.elaborate.definitions import RESERVED_NAMES, shipped_blocks
from sewdsl.elaborate.vocabulary import Vocabulary
from sewdsl.ir.network import Network
from sewdsl.ir.op import Activation
from sewdsl.light_dataclass import dataclass
from sewdsl.notation.item_text import (
    BlockText,
    Definition,
    LayerText,
    MergeText,
    TextItem,
    TextItems,
    child_sequences,
    item_text,
    items_text,
    walk_items,
    with_sequences,
)
from sewdsl.notation.part_calls import PartOperand
from sewdsl.syntax.lexicon import KEYWORDS, SETTINGS

_WORDS = re.compile(r"[A-Za-z][A-Za-z0-9_]*( [A-Za-z][A-Za-z0-9_]*)*")
_RESERVED = {*RESERVED_NAMES, *KEYWORDS, *SETTINGS, "or", "on"}
_MADE_UP = [f"Block {letter}{other}" for other in ("", *ascii_uppercase) for letter in ascii_uppercase]
_STRIDE = re.compile(r"(?<=[0-9])s([0-9]+)(?![0-9x])")


def propose_blocks(network: Network, items: TextItems, folded: TextItems, *, nameless: bool) -> tuple[Definition, ...]:
    """Return definitions of blocks for joins that occur several times, at most 26.

    Joins with different widths or strides, with and without a projection, can share a block.

    Args:
        network: Network whose paths determine the names of blocks.
        items: Body without repeats and calls.
        folded: Body with repeats and calls.
        nameless: Whether to generate names for blocks that have none.
    """
    joins = {item.node: item for item in walk_items(items) if isinstance(item, MergeText)}
    groups: dict[Hashable, list[_Unit]] = {}
    for join, end in _joins(folded):
        unit = _Unit(joins[join.node], end, _call_width(network, join.node))
        groups.setdefault(unit.kind, []).append(unit)
    repeated = [group for group in groups.values() if len(group) > 1][: len(ascii_uppercase)]
    labels = list(_labels(network, repeated))
    generated = (name for name in _MADE_UP if name not in labels)
    return tuple(
        _definition(label or next(generated), group)
        for label, group in zip(labels, repeated, strict=True)
        if label or nameless
    )


@dataclass(frozen=True)
class _Unit:
    """Join, with the activation after it in a Spiking block. ``stated`` is the argument c of its call, or None."""

    join: MergeText
    end: TextItems
    stated: int | None = None

    @property
    def items(self) -> TextItems:
        return self.join, *self.end

    @property
    def width(self) -> int | None:
        """Number of channels of the first layer with weights, or None."""
        return next(filter(None, map(_width, walk_items(self.join.operands[0]))), None)

    @property
    def stride(self) -> int:
        """Largest stride in the branch."""
        layers = (item for item in walk_items(self.join.operands[0]) if isinstance(item, LayerText))
        matches = (
            _STRIDE.search(layer.text.partition("(")[0]) for layer in layers if not isinstance(layer.op, PartOperand)
        )
        return max((int(match[1]) for match in matches if match), default=1)

    @property
    def kind(self) -> Hashable:
        """Key, equal for units that differ only in width and stride."""
        return self.join.name, self._kinds(self.join.operands[0]), items_text(self.end)

    def _kinds(self, items: TextItems) -> tuple[Hashable, ...]:
        return tuple(map(self._kind, items))

    def _kind(self, item: TextItem) -> Hashable:
        if isinstance(item, LayerText):
            width = _width(item)
            # Relative to the first layer, so that blocks of other widths have the same key.
            ratio = Fraction(width, self.width or 1) if width else None
            return _parametrised(item, lambda _: "c", lambda _: "s"), ratio
        if isinstance(item, MergeText):
            return (item.name, *map(self._kinds, item.operands))
        return item_text(item)


def _joins(items: TextItems) -> Iterator[tuple[MergeText, TextItems]]:
    """Yield all joins outside calls, with the activations that belong to them."""
    for index, item in enumerate(items):
        if isinstance(item, MergeText) and item.is_join:
            following = items[index + 1 : index + 2]
            branch = item.operands[0]
            # Spiking blocks have the activation after the join instead of at the end of the branch.
            is_spiking = bool(following) and _is_activation(following[0])
            is_spiking = is_spiking and not (branch and _is_activation(branch[-1]))
            yield item, following if is_spiking else ()
        if not isinstance(item, BlockText):
            for inner in child_sequences(item):
                yield from _joins(inner)


def _is_activation(item: TextItem) -> bool:
    return isinstance(item, LayerText) and isinstance(item.op, Activation)


def _width(item: TextItem) -> int | None:
    """Return the 32 of ``c32k3`` and ``FC32``, or None for layers without a required number."""
    if not isinstance(item, LayerText):
        return None
    name = item.op.letters().get("")
    is_required = name is not None and type(item.op).model_fields[name].is_required()
    value = getattr(item.op, name) if name and is_required else None
    return value if type(value) is int else None


def _parametrised(layer: LayerText, width: Callable[[int], str], stride: Callable[[int], str]) -> str:
    if isinstance(layer.op, PartOperand):
        return layer.text
    compact, paren, named = layer.text.partition("(")
    compact = _STRIDE.sub(lambda match: f"s{stride(int(match[1]))}", compact)
    channels = _width(layer)
    if channels is not None:
        kind = layer.op.kind
        compact = kind + width(channels) + compact[len(kind) + len(str(channels)) :]
    return compact + paren + named


def _definition(name: str, group: Sequence[_Unit]) -> Definition:
    # A unit with a projection is the better template: `fitting` makes the projection optional.
    template = next((unit for unit in group if unit.join.operands[1]), group[0])
    fitting = bool(template.join.operands[1]) and not all(unit.join.operands[1] for unit in group)
    widths, strides = {unit.width for unit in group}, {unit.stride for unit in group}
    # Value of c in the template: the argument of its original call, if all calls have the same ratio of width to c.
    base: int | None = None
    if len(widths) > 1:
        ratios = {Fraction(unit.width, unit.stated) if unit.width and unit.stated else None for unit in group}
        base = template.width if None in ratios or len(ratios) > 1 else template.stated
    step = template.stride if len(strides) > 1 and template.stride > 1 else None

    def width(channels: int) -> str:
        if base is None or (channels % base and base % channels):
            return str(channels)
        factor, divisor = channels // base, base // channels
        return "$(c)" if factor == divisor == 1 else f"$({factor}*c)" if factor > 1 else f"$(c/{divisor})"

    def stride(value: int) -> str:
        return "$(s)" if value == step else str(value)

    def change(items: TextItems) -> TextItems:
        return tuple(
            replace(item, text=_parametrised(item, width, stride))
            if isinstance(item, LayerText)
            else with_sequences(item, change)
            for item in items
        )

    join, *end = change(template.items)
    assert isinstance(join, MergeText)  # noqa: S101 -- the first item of a unit is its join
    parameters = ", ".join([*(["c"] if base is not None else []), *(["s=1"] if step is not None else [])])
    return Definition(name, parameters, (replace(join, fitting=fitting), *end))


def _call_width(network: Network, join: int) -> int | None:
    """Return the argument c of the innermost block call around a join, or None."""
    path = network.nodes[join].path
    arguments = path[-1].arguments if path and path[-1].kind == "block" else ""
    values = {piece.letter: piece.value for piece in split_arguments(arguments)}
    value = values.get("c")
    return value if type(value) is int and value else None


def _labels(network: Network, groups: Sequence[Sequence[_Unit]]) -> Iterator[str]:
    """Yield the names of blocks in the network, empty for missing and invalid names."""
    vocabulary = Vocabulary(library=shipped_blocks())
    taken: set[str] = set()
    for group in groups:
        path = network.nodes[group[0].join.node].path
        label = path[-1].label if path and path[-1].kind == "block" else ""
        plain = label.replace(" ", "")
        words = {*label.split(), plain}
        is_valid = bool(_WORDS.fullmatch(label)) and not words & _RESERVED and not vocabulary.complete(plain)
        yield label if is_valid and plain not in taken else ""
        taken.add(plain)
