"""Named values, of ``let`` and of a block's operands: what may have which name, and which are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from itertools import count

from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity
from sewdsl.elaborate.definitions import RESERVED_NAMES
from sewdsl.elaborate.vocabulary import Vocabulary
from sewdsl.ir.node import MODULE_ATTRIBUTES
from sewdsl.ir.signal import Signal
from sewdsl.light_dataclass import dataclass
from sewdsl.ops import find
from sewdsl.ops.layers.delay import Delay
from sewdsl.source import Span
from sewdsl.syntax import tree
from sewdsl.syntax.tree import BlockDefinition, Call, Item, Let, Word

_NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")
ALTERNATIVE = "or"
"""What makes an operand of two: no value can be called so."""


def value_keys(names: Iterable[str]) -> dict[str, str]:
    """What the names of each value's nodes begin with: its name, or one like it that modules do not have."""
    found = {name: name for name in names if name not in MODULE_ATTRIBUTES}
    taken = set(found)
    for name in names:
        if name in MODULE_ATTRIBUTES:
            found[name] = next(key for n in count(1) if (key := f"{name}{n}") not in taken)
            taken.add(found[name])
    return found


@dataclass
class NamedValue:
    """A name in one expansion of a text.

    Attributes:
        place: Index of the node whose output it is; None: that is broken.
        computed: Whether the place is known: before that, only a delay can read it.
        assumed: The type that delays which read it before take it to have; None: nothing is known of it yet.
    """

    defined: Span
    place: int | None = None
    computed: bool = False
    assumed: Signal | None = None
    delays: list[int] = field(default_factory=list)


def value_name(item: Item) -> str | None:
    """The name of the value that an item may be; None: it can be none."""
    return item.name.plain if isinstance(item, Call) else None


def _sequences(part: tree.Sequence) -> Iterator[tree.Sequence]:
    """The sequences in a sequence, itself among them."""
    return (node for node in tree.walk_syntax(part) if isinstance(node, tree.Sequence))


def early_names(lets: Sequence[Let]) -> set[str]:
    """The names of values that delays read before they are computed: ``h`` of ``let h = ADD[id | h-DELAY]``."""
    waiting = {let.name.text for let in lets}
    early: set[str] = set()
    for let in lets:
        early |= waiting.intersection(_delayed(let.expression)) if waiting else set()
        waiting.discard(let.name.text)
    return early


def _delayed(part: tree.Sequence) -> Iterator[str]:
    """The names that sequences begin with, before a delay."""
    for first, *rest in (sequence.items for sequence in _sequences(part)):
        if rest and value_name(rest[0]) == Delay.kind and (name := value_name(first)):
            yield name


def is_free_name(name: str, vocabulary: Vocabulary) -> bool:
    """Whether a value can have a name: letters, digits and underscores that mean nothing else."""
    known = name in {*RESERVED_NAMES, ALTERNATIVE} or find(name) or vocabulary.complete(name)
    return bool(_NAME.fullmatch(name)) and not known


def live_names(lets: Sequence[Let], expression: tree.Sequence) -> set[str]:
    """The names that are read, directly or by what is read, on the way to what a sequence gives."""
    definitions: dict[str, Let] = {}
    for let in lets:
        definitions.setdefault(let.name.text, let)
    live: set[str] = set()
    todo = [expression]
    while todo:
        items = (item for sequence in _sequences(todo.pop()) for item in sequence.items)
        new = {name for item in items if (name := value_name(item))} - live
        live |= new
        todo += [definitions[name].expression for name in new & definitions.keys()]
    return live


def check_names(
    operands: Sequence[Word], lets: Sequence[Let], expression: tree.Sequence | None, vocabulary: Vocabulary
) -> Iterator[Diagnostic]:
    """Complains of the names of one file, or of one block: those that mean something else, and that nothing reads.

    Args:
        expression: What it gives; None: that is broken, and may read anything.
    """
    words = [*operands, *(let.name for let in lets)]
    first: dict[str, Word] = {}
    for word in words:
        name = word.text
        if first.setdefault(name, word) is not word:
            where = f"the first is in line {first[name].span.line}"
            message = f"'{name}' is defined twice"
            yield Diagnostic("duplicate-name", Severity.ERROR, message, word.span, help=where)
        elif not _NAME.fullmatch(name):
            message, hint = f"'{name}' cannot be the name of a value", "write letters, digits and underscores"
            yield Diagnostic("reserved-name", Severity.ERROR, message, word.span, help=hint)
        elif not is_free_name(name, vocabulary):
            what = "a block" if name in vocabulary.blocks else "a name of the language"
            message, hint = f"'{name}' is {what}", "choose another name for the value"
            yield Diagnostic("reserved-name", Severity.ERROR, message, word.span, help=hint)
    if expression is None:
        return
    live = live_names(lets, expression)
    begun = [expression, *(let.expression for let in lets if let.name.text in live)]
    if any(value_name(sequence.items[0]) not in first for sequence in begun):
        live |= {word.text for word in operands[:1]}  # it is what flows in
    for word in operands:
        if word.text not in live:
            hint = "begin a sequence with its name, or take it out of the brackets"
            yield _unused(word.span, word.text, hint)
    for let in lets:
        if let.name.text not in live and first[let.name.text] is let.name:
            yield _unused(let.name.span, let.name.text, "begin a sequence with its name, or remove the line", let.span)


def _unused(span: Span, name: str, hint: str, line: Span | None = None) -> Diagnostic:
    fixes: Iterable[Fix] = ()
    if line is not None:
        text = line.source.text
        start = text.rfind("\n", 0, line.start) + 1
        rest = re.compile(r"[^\S\r\n]*(#[^\r\n]*)?(\r\n|\n|\r|$)").match(text, line.end)
        if rest is not None and not text[start : line.start].strip():  # nothing else is in its lines
            span_of_lines = Span(line.source, start, rest.end())
            fixes = (Fix("remove the line", (Edit(span_of_lines, ""),), safe=False),)
    message, label = f"nothing reads '{name}'", "no sequence begins with it"
    return Diagnostic("unused-name", Severity.WARNING, message, span, label, hint, fixes=tuple(fixes))


def check_block_names(blocks: Iterable[BlockDefinition], vocabulary: Vocabulary) -> Iterator[Diagnostic]:
    """The same for each block that has names of its own."""
    for block in blocks:
        if block.operands or block.lets:
            yield from check_names(block.operands, block.lets, block.expression, vocabulary)
