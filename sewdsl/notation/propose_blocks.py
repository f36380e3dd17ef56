"""Blocks of a network's own: parts that occur several times, perhaps in several widths and strides."""

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
from sewdsl.syntax.lexicon import KEYWORDS, SETTINGS

_WORDS = re.compile(r"[A-Za-z][A-Za-z0-9_]*( [A-Za-z][A-Za-z0-9_]*)*")
_RESERVED = {*RESERVED_NAMES, *KEYWORDS, *SETTINGS, "or", "on"}
_MADE_UP = [f"Block {letter}{other}" for other in ("", *ascii_uppercase) for letter in ascii_uppercase]
_STRIDE = re.compile(r"(?<=[0-9])s([0-9]+)(?![0-9x])")


def propose_blocks(network: Network, items: TextItems, folded: TextItems, *, nameless: bool) -> tuple[Definition, ...]:
    """Definitions of blocks that would be called several times, the first 26 at most.

    Joins are alike if they differ in width and stride only; those with a projection and those without are alike too.

    Args:
        network: Its paths say what a block is called, if they name one.
        items: Its body without repeats and calls.
        folded: Its body with them.
    """
    joins = {item.node: item for item in walk_items(items) if isinstance(item, MergeText)}
    groups: dict[Hashable, list[_Unit]] = {}
    for join, end in _joins(folded):
        unit = _Unit(joins[join.node], end, _stated(network, join.node))
        groups.setdefault(unit.kind, []).append(unit)
    several = [group for group in groups.values() if len(group) > 1][: len(ascii_uppercase)]
    labels = list(_labels(network, several))
    free = (name for name in _MADE_UP if name not in labels)
    return tuple(
        _definition(label or next(free), group)
        for label, group in zip(labels, several, strict=True)
        if label or nameless
    )


@dataclass(frozen=True)
class _Unit:
    """A join, and the activation that alone reads it and belongs to it: that of a Spiking block.

    Attributes:
        stated: The c of the call that the network's paths say it comes from; None: they say none.
    """

    join: MergeText
    end: TextItems
    stated: int | None = None

    @property
    def items(self) -> TextItems:
        return self.join, *self.end

    @property
    def width(self) -> int | None:
        """Channels of the first layer that has weights; None: there is none."""
        return next(filter(None, map(_width, walk_items(self.join.operands[0]))), None)

    @property
    def stride(self) -> int:
        """The largest stride of the branch."""
        layers = (item for item in walk_items(self.join.operands[0]) if isinstance(item, LayerText))
        found = (_STRIDE.search(layer.text.partition("(")[0]) for layer in layers)
        return max((int(stride[1]) for stride in found if stride), default=1)

    @property
    def kind(self) -> Hashable:
        """What is equal for units that differ in width and stride only."""
        return self.join.name, self._kinds(self.join.operands[0]), items_text(self.end)

    def _kinds(self, items: TextItems) -> tuple[Hashable, ...]:
        return tuple(map(self._kind, items))

    def _kind(self, item: TextItem) -> Hashable:
        if isinstance(item, LayerText):
            width = _width(item)
            ratio = Fraction(width, self.width or 1) if width else None
            return _parametrised(item, lambda _: "c", lambda _: "s"), ratio
        if isinstance(item, MergeText):
            return (item.name, *map(self._kinds, item.operands))
        return item_text(item)


def _joins(items: TextItems) -> Iterator[tuple[MergeText, TextItems]]:
    """All joins that are not inside of calls, and the activations that belong to them."""
    for at, item in enumerate(items):
        if isinstance(item, MergeText) and item.is_join:
            following = items[at + 1 : at + 2]
            branch = item.operands[0]
            ends = bool(following) and _activates(following[0]) and not (branch and _activates(branch[-1]))
            yield item, following if ends else ()
        if not isinstance(item, BlockText):
            for inner in child_sequences(item):
                yield from _joins(inner)


def _activates(item: TextItem) -> bool:
    return isinstance(item, LayerText) and isinstance(item.op, Activation)


def _width(item: TextItem) -> int | None:
    """32 of ``c32k3`` and ``FC32``; None for what has no number that must be said."""
    if not isinstance(item, LayerText):
        return None
    name = item.op.letters().get("")
    needed = name is not None and type(item.op).model_fields[name].is_required()
    value = getattr(item.op, name) if name and needed else None
    return value if type(value) is int else None


def _parametrised(layer: LayerText, width: Callable[[int], str], stride: Callable[[int], str]) -> str:
    """The text of a layer with something else in place of its width and stride."""
    tight, paren, named = layer.text.partition("(")
    tight = _STRIDE.sub(lambda found: f"s{stride(int(found[1]))}", tight)
    number = _width(layer)
    if number is not None:
        kind = layer.op.kind
        tight = kind + width(number) + tight[len(kind) + len(str(number)) :]
    return tight + paren + named


def _definition(name: str, group: Sequence[_Unit]) -> Definition:
    """A block for units that are alike; made from one with a projection, if there is one."""
    template = next((unit for unit in group if unit.join.operands[1]), group[0])
    fitting = bool(template.join.operands[1]) and not all(unit.join.operands[1] for unit in group)
    widths, strides = {unit.width for unit in group}, {unit.stride for unit in group}
    # what c is in the template: what its own call states, if that is the same part of the width in all calls
    base: int | None = None
    if len(widths) > 1:
        parts = {Fraction(unit.width, unit.stated) if unit.width and unit.stated else None for unit in group}
        base = template.width if None in parts or len(parts) > 1 else template.stated
    step = template.stride if len(strides) > 1 and template.stride > 1 else None

    def width(number: int) -> str:
        if base is None or (number % base and base % number):
            return str(number)
        times, part = number // base, base // number
        return "$(c)" if times == part == 1 else f"$({times}*c)" if times > 1 else f"$(c/{part})"

    def stride(number: int) -> str:
        return "$(s)" if number == step else str(number)

    def change(items: TextItems) -> TextItems:
        return tuple(
            replace(item, text=_parametrised(item, width, stride))
            if isinstance(item, LayerText)
            else with_sequences(item, change)
            for item in items
        )

    join, *end = change(template.items)
    assert isinstance(join, MergeText)  # noqa: S101 -- units begin with one
    parameters = ", ".join([*(["c"] if base is not None else []), *(["s=1"] if step is not None else [])])
    return Definition(name, parameters, (replace(join, fitting=fitting), *end))


def _stated(network: Network, join: int) -> int | None:
    """The c of the call of the innermost block that a join is in."""
    path = network.nodes[join].path
    arguments = path[-1].arguments if path and path[-1].kind == "block" else ""
    values = {piece.letter: piece.value for piece in split_arguments(arguments)}
    value = values.get("c")
    return value if type(value) is int and value else None


def _labels(network: Network, groups: Sequence[Sequence[_Unit]]) -> Iterator[str]:
    """What the blocks are called in the network; empty where that may not be, or they have no name."""
    known = Vocabulary(library=shipped_blocks())
    taken: set[str] = set()
    for group in groups:
        path = network.nodes[group[0].join.node].path
        label = path[-1].label if path and path[-1].kind == "block" else ""
        plain = label.replace(" ", "")
        words = {*label.split(), plain}
        good = bool(_WORDS.fullmatch(label)) and not words & _RESERVED and not known.complete(plain)
        yield label if good and plain not in taken else ""
        taken.add(plain)
