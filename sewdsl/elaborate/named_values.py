"""Named values of ``let`` lines and block operands: checks of their names and uses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from itertools import count
from keyword import iskeyword

from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity
from sewdsl.elaborate.definitions import RESERVED_NAMES, explain_reserved
from sewdsl.elaborate.vocabulary import Vocabulary
from sewdsl.ir.node import MODULE_ATTRIBUTES
from sewdsl.ir.op import Layer
from sewdsl.ir.signal import Signal
from sewdsl.light_dataclass import dataclass
from sewdsl.ops import find, is_reserved
from sewdsl.ops.layers.delay import Delay
from sewdsl.source import Span
from sewdsl.syntax import tree
from sewdsl.syntax.lexicon import OF, OWN_JOIN
from sewdsl.syntax.tree import BlockDefinition, Call, Item, Let, Word

_NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")
_DELAY = re.compile(f"{Delay.kind}[0-9]*")
ALTERNATIVE = "or"
"""Keyword of alternatives, which cannot be the name of a value."""


_RESERVED = frozenset({*RESERVED_NAMES, ALTERNATIVE}) - {OWN_JOIN}

FORWARD_NAMES = frozenset({"return_sequence", "self", "state", "torch", "x", "x_N"})
"""Other arguments of the module, and names in exported files, that inputs cannot have. ``x`` is any first input."""


def value_keys(names: Iterable[str]) -> dict[str, str]:
    """Return the prefix of node names for each value: its name, with a number if modules have such an attribute."""
    keys = {name: name for name in names if name not in MODULE_ATTRIBUTES}
    taken = set(keys)
    for name in names:
        if name in MODULE_ATTRIBUTES:
            keys[name] = next(key for n in count(1) if (key := f"{name}{n}") not in taken)
            taken.add(keys[name])
    return keys


@dataclass
class NamedValue:
    """Named value in one expansion of a scope."""

    defined: Span
    index: int | None = None
    """Index of the node with the value. None before it is computed, and after an error."""
    computed: bool = False
    """Whether the nodes of the value exist. Before that, only a delay can read it."""
    assumed: Signal | None = None
    """Signal that earlier delays assume, or None if it is not known yet."""
    delays: list[int] = field(default_factory=list)
    """Indices of the earlier delays."""


def value_name(item: Item) -> str | None:
    """Return the name of the value that an item may read, or None if the item is not a call."""
    return item.name.plain if isinstance(item, Call) else None


def _sequences(part: tree.Sequence) -> Iterator[tree.Sequence]:
    return (node for node in tree.walk_syntax(part) if isinstance(node, tree.Sequence))


def early_names(lets: Sequence[Let]) -> set[str]:
    """Return the names of values that delays read before they are computed: ``h`` in ``let h = ADD[id | h-DELAY]``."""
    undefined = {let.name.text for let in lets}
    early: set[str] = set()
    for let in lets:
        early |= undefined.intersection(_delayed(let.expression)) if undefined else set()
        undefined.discard(let.name.text)
    return early


def is_delay(item: Item) -> bool:
    """Return whether an item is a delay: ``DELAY``, ``DELAY4`` or ``DELAY$(n)``."""
    first = item.name.parts[0] if isinstance(item, Call) else None
    return isinstance(first, Word) and bool(_DELAY.fullmatch(first.text))


def _delayed(part: tree.Sequence) -> Iterator[str]:
    """Yield the names at the start of sequences that a delay follows."""
    for first, *rest in (sequence.items for sequence in _sequences(part)):
        if rest and is_delay(rest[0]) and (name := value_name(first)):
            yield name


def is_free_name(name: str, vocabulary: Vocabulary) -> bool:
    """Return whether a name is valid for a value: letters, digits and underscores without another meaning.

    A name that means nothing alone is free: ``g`` without operands, and ``c`` and ``FC``, which require arguments.
    """
    if not _NAME.fullmatch(name) or name in _RESERVED or vocabulary.complete(name):
        return False
    kind = find(name) if is_reserved(name) else None
    return kind is None or issubclass(kind, Layer)


def live_names(lets: Sequence[Let], expression: tree.Sequence) -> set[str]:
    """Return the names that an expression uses, directly or through the definitions of other names."""
    definitions: dict[str, Let] = {}
    for let in lets:
        definitions.setdefault(let.name.text, let)
    live: set[str] = set()
    pending = [expression]
    while pending:
        items = (item for sequence in _sequences(pending.pop()) for item in sequence.items)
        new = {name for item in items if (name := value_name(item))} - live
        live |= new
        pending += [definitions[name].expression for name in new & definitions.keys()]
    return live


def check_names(
    operands: Sequence[Word],
    lets: Sequence[Let],
    expression: tree.Sequence | None,
    vocabulary: Vocabulary,
    inputs: Sequence[Word] = (),
) -> Iterator[Diagnostic]:
    """Report duplicate, invalid, reserved and unused names of values in a file or a block.

    Args:
        expression: Output of the scope. None after an error: unused names are not reported then.
        inputs: Names of the inputs of the file. Unused ones are not reported.
    """
    words = [*inputs, *operands, *(let.name for let in lets)]
    first: dict[str, Word] = {}
    for word in words:
        name = word.text
        if first.setdefault(name, word) is not word:
            where = f"rename one of them; the first is on line {first[name].span.line}"
            message = f"duplicate value '{name}'"
            yield Diagnostic("duplicate-name", message, word.span, help=where)
        elif not _NAME.fullmatch(name):
            message, hint = f"invalid name '{name}' of a value", "use letters, digits and underscores"
            yield Diagnostic("reserved-name", message, word.span, help=hint)
        elif word in inputs and (name in MODULE_ATTRIBUTES | FORWARD_NAMES or iskeyword(name) or name == OF):
            reason = "an argument or a variable of forward" if name in FORWARD_NAMES else "an attribute of modules"
            reason = "a keyword of Python" if iskeyword(name) else reason
            reason = "written between a shape and a number of values" if name == OF else reason
            message, hint = f"an input cannot be named '{name}', which is {reason}", f"rename the input, e.g. '{name}1'"
            yield Diagnostic("reserved-name", message, word.span, help=hint)
        elif not is_free_name(name, vocabulary):
            block = vocabulary.blocks.get(name)
            message, hint = explain_reserved(name), "rename the value"
            if block is not None:
                message = f"'{name}' is the name of a {block.keyword}"
            elif name == ALTERNATIVE:
                message = f"'{name}' is reserved for alternatives, as in 'id or c64k1'"
            yield Diagnostic("reserved-name", message, word.span, help=hint)
    if expression is None:
        return
    live = live_names(lets, expression)
    used = [expression, *(let.expression for let in lets if let.name.text in live)]
    # A sequence that does not start with a name reads the input, which is the first operand.
    if any(value_name(sequence.items[0]) not in first for sequence in used):
        live |= {word.text for word in operands[:1]}
    for word in operands:
        if word.text not in live:
            hint = "start a sequence with it, or remove it from the brackets"
            yield _unused(word.span, word.text, hint)
    for let in lets:
        if let.name.text not in live and first[let.name.text] is let.name:
            yield _unused(let.name.span, let.name.text, "start a sequence with it, or remove the line", let.span)


def _unused(span: Span, name: str, hint: str, line: Span | None = None) -> Diagnostic:
    fixes: Iterable[Fix] = ()
    if line is not None:
        text = line.source.text
        start = text.rfind("\n", 0, line.start) + 1
        rest = re.compile(r"[^\S\r\n]*(#[^\r\n]*)?(\r\n|\n|\r|$)").match(text, line.end)
        # Remove the line only if it contains nothing else.
        if rest is not None and not text[start : line.start].strip():
            span_of_lines = Span(line.source, start, rest.end())
            fixes = (Fix("remove the line", (Edit(span_of_lines, ""),), safe=False),)
    message, label = f"unused value '{name}'", "no sequence starts with it"
    return Diagnostic("unused-name", message, span, label, hint, fixes=tuple(fixes), severity=Severity.WARNING)


def check_block_names(blocks: Iterable[BlockDefinition], vocabulary: Vocabulary) -> Iterator[Diagnostic]:
    """Report the names of values in blocks, as :func:`check_names` does."""
    for block in blocks:
        if block.operands or block.lets:
            yield from check_names(block.operands, block.lets, block.expression, vocabulary)
