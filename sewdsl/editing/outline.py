"""Outline and folding ranges of a file."""

from __future__ import annotations

from itertools import groupby
from typing import Literal, NamedTuple

from sewdsl.editing import EditorView
from sewdsl.elaborate.block_calls import block_title
from sewdsl.source import Span
from sewdsl.syntax import tree
from sewdsl.syntax.lexicon import OPENERS
from sewdsl.syntax.scanner import token_start


class OutlineEntry(NamedTuple):
    """Entry of the outline, with a short remark next to its name. ``head`` is the part of ``span`` to jump to."""

    name: str
    detail: str
    kind: Literal["body", "block", "value", "section", "setting", "file", "figure"]
    span: Span
    head: Span
    children: tuple[OutlineEntry, ...] = ()


def outline(view: EditorView) -> list[OutlineEntry]:
    """Return the statements of a file in order, without those with syntax errors."""
    return [symbol for statement in view.document.statements if (symbol := _symbol(statement))]


def _symbol(statement: tree.Statement) -> OutlineEntry | None:
    span = statement.span
    match statement:
        case tree.Body(expression=expression):
            return OutlineEntry("body", _short(expression.span.text), "body", span, expression.span)
        case tree.BlockDefinition(name=name, parameters=parameters):
            detail = ", ".join(parameter.name for parameter in parameters)
            inside = tuple(_value(let) for let in statement.lets)
            return OutlineEntry(block_title(statement), detail, "block", span, name.span, inside)
        case tree.NeuronDefinition(name=name, parameters=neuron_parameters):
            detail = ", ".join(parameter.name.text for parameter in neuron_parameters)
            declarations = (
                each for each in statement.equations if isinstance(each, tree.Learn | tree.StateDeclaration)
            )
            inside = tuple(
                OutlineEntry(each.name.text, _short(each.span.text), "value", each.span, each.name.span)
                for each in declarations
            )
            return OutlineEntry(name.text, detail, "block", span, name.span, inside)
        case tree.Let():
            return _value(statement)
        case tree.Section(name=name, on=on, settings=settings):
            inside = tuple(_setting(setting) for setting in settings)
            return OutlineEntry(name.text, f"on {on}" if on else "", "section", span, name.span, inside)
        case tree.Setting():
            return _setting(statement)
        case tree.Use(path=path):
            return OutlineEntry("use", path.text, "file", span, path.span)
        case tree.Expect(quantity=quantity) | tree.Claim(quantity=quantity):
            return OutlineEntry(quantity.text, statement.value.span.text, "figure", span, quantity.span)
    return None


def _value(let: tree.Let) -> OutlineEntry:
    return OutlineEntry(let.name.text, _short(let.expression.span.text), "value", let.span, let.name.span)


def _setting(setting: tree.Setting) -> OutlineEntry:
    values = " ".join(value.span.text for value in setting.values)
    return OutlineEntry(setting.key.text, _short(values), "setting", setting.span, setting.key.span)


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 60 else f"{words[:59]}…"  # noqa: PLR2004 -- about as wide as an outline is


class FoldingRange(NamedTuple):
    """Lines that can be folded, counted from 1."""

    first: int
    """Line that stays visible."""
    last: int
    """Last hidden line."""
    comment: bool
    """Whether the lines are a comment."""


def folding_ranges(view: EditorView) -> list[FoldingRange]:
    """Return statements and brackets that span several lines, and comments of several lines."""
    source = view.source
    last_by_first = _brackets(view)
    last_by_first |= {
        source.position(token_start(line.tokens[0]))[0]: source.position(token_start(line.tokens[-1]))[0]
        for line in view.statements
        if not line.braced
    }
    positions = [source.position(token_start(token)) for token in view.tokens if token.type == "COMMENT"]
    # Only comments on their own lines.
    lines = [line for line, column in positions if not source.line(line)[: column - 1].strip()]
    # Consecutive line numbers have a constant difference to their index.
    comments = [[line for _, line in run] for _, run in groupby(enumerate(lines), key=lambda pair: pair[1] - pair[0])]
    return [
        *(FoldingRange(first, last, comment=False) for first, last in sorted(last_by_first.items()) if last > first),
        *(FoldingRange(run[0], run[-1], comment=True) for run in comments if len(run) > 1),
    ]


def _brackets(view: EditorView) -> dict[int, int]:
    """Return the last line inside of each pair of brackets, by its first line."""
    last_by_first: dict[int, int] = {}
    opened: list[tuple[str, int]] = []
    for token in view.tokens:
        line = view.source.position(token_start(token))[0]
        if token.type in OPENERS:
            opened.append((token.type, line))
        elif opened and token.type == OPENERS[opened[-1][0]]:
            # The line of the closing bracket stays visible.
            last_by_first[opened.pop()[1]] = line - 1
    return last_by_first
