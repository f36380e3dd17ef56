"""What a file consists of, and which of its lines can be folded away."""

from __future__ import annotations

from itertools import groupby
from typing import Literal, NamedTuple

from sewdsl.editing import EditorView
from sewdsl.elaborate.block_calls import block_title
from sewdsl.source import Span
from sewdsl.syntax.lexicon import OPENERS
from sewdsl.syntax.scanner import token_start
from sewdsl.syntax.tree import (
    BlockDefinition,
    Body,
    Claim,
    Expect,
    Learn,
    Let,
    NeuronDefinition,
    Section,
    Setting,
    StateDeclaration,
    Statement,
    Use,
)


class OutlineEntry(NamedTuple):
    """An entry of the outline.

    Attributes:
        detail: A few words next to it.
        head: The part to jump to, inside the span.
    """

    name: str
    detail: str
    kind: Literal["body", "block", "value", "section", "setting", "file", "figure"]
    span: Span
    head: Span
    children: tuple[OutlineEntry, ...] = ()


def outline(view: EditorView) -> list[OutlineEntry]:
    """Return the statements of a file, in order; those with syntax errors left out."""
    return [symbol for statement in view.document.statements if (symbol := _symbol(statement))]


def _symbol(statement: Statement) -> OutlineEntry | None:
    span = statement.span
    match statement:
        case Body(expression=expression):
            return OutlineEntry("body", _short(expression.span.text), "body", span, expression.span)
        case BlockDefinition(name=name, parameters=parameters):
            detail = ", ".join(parameter.name for parameter in parameters)
            inside = tuple(_value(let) for let in statement.lets)
            return OutlineEntry(block_title(statement), detail, "block", span, name.span, inside)
        case NeuronDefinition(name=name, parameters=given):
            detail = ", ".join(parameter.name.text for parameter in given)
            kept = (each for each in statement.equations if isinstance(each, Learn | StateDeclaration))
            inside = tuple(
                OutlineEntry(each.name.text, _short(each.span.text), "value", each.span, each.name.span)
                for each in kept
            )
            return OutlineEntry(name.text, detail, "block", span, name.span, inside)
        case Let():
            return _value(statement)
        case Section(name=name, on=on, settings=settings):
            inside = tuple(_setting(setting) for setting in settings)
            return OutlineEntry(name.text, f"on {on}" if on else "", "section", span, name.span, inside)
        case Setting():
            return _setting(statement)
        case Use(path=path):
            return OutlineEntry("use", path.text, "file", span, path.span)
        case Expect(quantity=quantity) | Claim(quantity=quantity):
            return OutlineEntry(quantity.text, statement.value.span.text, "figure", span, quantity.span)
    return None


def _value(let: Let) -> OutlineEntry:
    return OutlineEntry(let.name.text, _short(let.expression.span.text), "value", let.span, let.name.span)


def _setting(setting: Setting) -> OutlineEntry:
    values = " ".join(value.span.text for value in setting.values)
    return OutlineEntry(setting.key.text, _short(values), "setting", setting.span, setting.key.span)


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 60 else f"{words[:59]}…"  # noqa: PLR2004 -- about as wide as an outline is


class FoldingRange(NamedTuple):
    """Lines that can be folded away, counted from 1.

    Attributes:
        first: The line that stays.
        last: The last that goes.
        comment: Whether they are a comment.
    """

    first: int
    last: int
    comment: bool


def folding_ranges(view: EditorView) -> list[FoldingRange]:
    """Statements and brackets over several lines, and comments of several lines."""
    source = view.source
    found = _brackets(view)
    found |= {
        source.position(token_start(line.tokens[0]))[0]: source.position(token_start(line.tokens[-1]))[0]
        for line in view.statements
        if not line.braced
    }
    places = [source.position(token_start(token)) for token in view.tokens if token.type == "COMMENT"]
    lines = [line for line, column in places if not source.line(line)[: column - 1].strip()]
    comments = [[line for _, line in run] for _, run in groupby(enumerate(lines), key=lambda pair: pair[1] - pair[0])]
    return [
        *(FoldingRange(first, last, comment=False) for first, last in sorted(found.items()) if last > first),
        *(FoldingRange(run[0], run[-1], comment=True) for run in comments if len(run) > 1),
    ]


def _brackets(view: EditorView) -> dict[int, int]:
    """Return the lines of pairs of brackets, that of the closing one left out, by their first."""
    found: dict[int, int] = {}
    opened: list[tuple[str, int]] = []
    for token in view.tokens:
        line = view.source.position(token_start(token))[0]
        if token.type in OPENERS:
            opened.append((token.type, line))
        elif opened and token.type == OPENERS[opened[-1][0]]:
            found[opened.pop()[1]] = line - 1
    return found
