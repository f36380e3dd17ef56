"""What can be seen of a block's definition before it is expanded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from sewdsl.elaborate.blocks import block_title
from sewdsl.elaborate.names import IDENTITY, OWN_JOIN, OWN_NEURON, Vocabulary
from sewdsl.ir.op import Activation
from sewdsl.notation.tree import Item, Items, JoinText, LayerText, walk_items
from sewdsl.syntax.tree import Alternative, BlockDefinition, Call, JoinOf, Number, Word
from sewdsl.syntax.tree import Item as Written
from sewdsl.syntax.tree import Sequence as WrittenSequence


@dataclass(frozen=True)
class BlockPattern:
    """Tells quickly what a block cannot stand for.

    Attributes:
        block: The definition.
        vocabulary: What the names in it mean.
    """

    block: BlockDefinition
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
        return any(isinstance(item, JoinOf) for item in self.block.expression.items)

    @cached_property
    def names(self) -> frozenset[str]:
        """All names in it: ``BN``, ``SN``, ``g``."""
        return frozenset(_names(self.block.expression))

    @cached_property
    def pattern(self) -> Pattern:
        """The kinds of its items."""
        return _pattern(self.block.expression, self.vocabulary)

    def may_be(self, items: Items) -> bool:
        """Whether the kinds of some items are those of the block."""
        return _alike(self.pattern, items)

    def guesses(self, items: Items) -> Iterator[dict[str, int]]:
        """Values for the parameters, from the numbers that stand in some items: c of ``c32k3``, s of ``s2``."""
        ops = [item.op for item in walk_items(items) if isinstance(item, LayerText)]
        found: dict[str, list[int]] = {}
        for parameter in self.block.parameters:
            letter = parameter.name
            values = [
                value[0] if isinstance(value, tuple) else value
                for op in ops
                for argument, value in op
                if op.letters().get("" if op.kind == letter else letter) == argument
            ]
            found[letter] = list(dict.fromkeys(value for value in values if type(value) is int))
        for chosen in product(*found.values()):
            yield dict(zip(found, chosen, strict=True))

    def call(self, values: Mapping[str, int]) -> str:
        """The arguments of a call: ``c128s2``; a default that is a number is not written."""
        defaults = {p.name: p.default.value for p in self.block.parameters if isinstance(p.default, Number)}
        return "".join(f"{name}{value}" for name, value in values.items() if defaults.get(name) != value)


@dataclass(frozen=True)
class _Joined:
    """A join whose shortcut may be one of several."""

    name: str | None
    branch: Pattern
    shortcuts: tuple[Pattern, ...]


Pattern = tuple[str | _Joined | None, ...]
"""Kinds of layers, ``SN`` and joins, in order; None is like nothing."""


def _pattern(written: WrittenSequence, vocabulary: Vocabulary) -> Pattern:
    return tuple(
        _kind(item, vocabulary)
        for item in written.items
        if not (isinstance(item, Call) and item.name.plain == IDENTITY)
    )


def _kind(item: Written, vocabulary: Vocabulary) -> str | _Joined | None:
    match item:
        case Call(name=name) if name.plain == OWN_NEURON:
            return OWN_NEURON
        case Call(name=name) if isinstance(name.parts[0], Word):
            return vocabulary.symbol(name.parts[0].text)
        case JoinOf(name=name, branch=branch, shortcut=shortcut):
            ways = (shortcut.first, shortcut.second) if isinstance(shortcut, Alternative) else (shortcut,)
            return _Joined(name.plain, _pattern(branch, vocabulary), tuple(_pattern(way, vocabulary) for way in ways))
        case _:
            return None


def _alike(pattern: Pattern, items: Sequence[Item]) -> bool:
    if len(pattern) != len(items):
        return False
    for kind, item in zip(pattern, items, strict=True):
        if isinstance(item, LayerText):
            if kind != item.op.kind and not (kind == OWN_NEURON and isinstance(item.op, Activation)):
                return False
        elif not (
            isinstance(kind, _Joined)
            and isinstance(item, JoinText)
            and kind.name in {OWN_JOIN, item.name}
            and _alike(kind.branch, item.branch)
            and any(_alike(shortcut, item.shortcut) for shortcut in kind.shortcuts)
        ):
            return False
    return True


def _names(node: WrittenSequence | Alternative | Written) -> Iterator[str]:
    """All names in an expression."""
    match node:
        case WrittenSequence(items=items):
            for item in items:
                yield from _names(item)
        case Alternative(first=one, second=other):
            yield from (*_names(one), *_names(other))
        case JoinOf(name=name, branch=branch, shortcut=shortcut):
            yield from (name.plain or "", *_names(branch), *_names(shortcut))
        case Call(name=name):
            yield name.plain or ""
