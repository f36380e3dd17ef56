"""What can be seen of a block's definition before it is expanded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from sewdsl.elaborate.blocks import title
from sewdsl.elaborate.names import IDENTITY, OWN_JOIN, OWN_NEURON, Vocabulary
from sewdsl.ir.op import Activation
from sewdsl.notation.tree import Item, Items, Join, Layer, walk
from sewdsl.syntax.tree import Alternative, BlockDefinition, Call, JoinOf, Name, Number, Word
from sewdsl.syntax.tree import Item as Written
from sewdsl.syntax.tree import Sequence as WrittenSequence


@dataclass(frozen=True)
class Shape:
    """Tells quickly what a block cannot stand for.

    Attributes:
        block: The definition.
        vocabulary: What the names in it mean.
    """

    block: BlockDefinition
    vocabulary: Vocabulary

    @property
    def title(self) -> str:
        """The block's name."""
        return title(self.block)

    @property
    def length(self) -> int:
        """Items of its sequence."""
        return len(self.block.expression.items)

    @property
    def joins(self) -> bool:
        """Whether there is a join in it, outside of others."""
        return any(isinstance(item, JoinOf) for item in self.block.expression.items)

    def uses(self, name: str) -> bool:
        """Whether ``SN`` or ``g`` stands in it."""
        return name in _names(self.block.expression)

    def may_be(self, items: Items) -> bool:
        """Whether the kinds of some items are those of the block."""
        return self._row(self.block.expression, items)

    def guesses(self, items: Items) -> Iterator[dict[str, int]]:
        """Values for the parameters, from the numbers that stand in some items: c of ``c32k3``, s of ``s2``."""
        ops = [item.op for item in walk(items) if isinstance(item, Layer)]
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

    def _row(self, written: WrittenSequence, items: Sequence[Item]) -> bool:
        expected = [item for item in written.items if not _is(item, IDENTITY)]
        return len(expected) == len(items) and all(map(self._item, expected, items))

    def _item(self, written: Written, item: Item) -> bool:
        if isinstance(written, Call):
            if not isinstance(item, Layer):
                return False
            return isinstance(item.op, Activation) if _is(written, OWN_NEURON) else item.op.kind == self._kind(written)
        if not (isinstance(written, JoinOf) and isinstance(item, Join)):
            return False
        ways = written.shortcut
        shortcuts = (ways.first, ways.second) if isinstance(ways, Alternative) else (ways,)
        return (
            written.name.plain in {OWN_JOIN, item.name}
            and self._row(written.branch, item.branch)
            and any(self._row(shortcut, item.shortcut) for shortcut in shortcuts)
        )

    def _kind(self, call: Call) -> str | None:
        """The kind of layer that a call names: ``c`` for ``c$(c)k3``."""
        first = call.name.parts[0]
        return self.vocabulary.symbol(first.text) if isinstance(first, Word) else None


def _is(item: Written, name: str) -> bool:
    return isinstance(item, Call) and item.name.plain == name


def _names(node: WrittenSequence | Alternative | Written | Name) -> set[str | None]:
    """All names in an expression."""
    match node:
        case WrittenSequence(items=items):
            return set().union(*map(_names, items))
        case Alternative(first=one, second=other):
            return _names(one) | _names(other)
        case JoinOf(name=name, branch=branch, shortcut=shortcut):
            return {name.plain} | _names(branch) | _names(shortcut)
        case Call(name=name):
            return {name.plain}
        case _:
            return set()
