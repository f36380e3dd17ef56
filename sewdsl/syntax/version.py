"""The first line of a file: ``sewdsl 1``."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from sewdsl.diagnostics import Diagnostics, Edit, Fix
from sewdsl.source import Source, Span
from sewdsl.syntax.lexicon import VERSION
from sewdsl.syntax.scanner import token_end, token_start

if TYPE_CHECKING:
    from lark import Token

    from sewdsl.syntax.layout import Lines

_FIRST = f"sewdsl {VERSION}"


def check_version(source: Source, statements: list[Lines], diagnostics: Diagnostics) -> None:
    """Reports a file that does not begin with the version of its language, or with one that is not known.

    A misspelt first word is reported and then taken for the right one.
    """
    versions = [lines for lines in statements if lines.tokens[0].type == "_VERSION"]
    if not versions:
        _report_missing(source, statements[0].tokens if statements else [], diagnostics)
        return
    for number in versions[0].tokens[1:2]:
        if number.type == "INTEGER" and number.lstrip("0") != str(VERSION):
            diagnostics.report(
                "unsupported-version",
                f"version {number} of the language is not known, only {VERSION}",
                Span(source, token_start(number), token_end(number)),
                label=f"expected {VERSION}",
                help="a newer sewdsl may read this file",
            )
    first, *more = versions
    if statements[0] is not first:
        _report_misplaced(source, first, "missing-version", "the version must be the first statement", diagnostics)
    for lines in more:
        _report_misplaced(source, lines, "unexpected-token", "the version comes a second time", diagnostics)


def _report_missing(source: Source, tokens: list[Token], diagnostics: Diagnostics) -> None:
    if 0 < len(tokens) <= len(_FIRST.split()) and get_close_matches(tokens[0].lower(), ["sewdsl"]):
        first = tokens[0]
        span = Span(source, token_start(first), token_end(first))
        message = f"the file begins with '{first}', not with '{_FIRST}'"
        fix = Fix("write 'sewdsl'", (Edit(span, "sewdsl"),), safe=False)
        first.type = "_VERSION"
    else:
        span = Span(source, 0, min(1, len(source.text)))
        message = f"the file does not begin with its version, '{_FIRST}'"
        fix = Fix(f"insert '{_FIRST}'", (Edit(Span(source, 0, 0), f"{_FIRST}{source.line_end}"),))
    help_ = f"the first line of a file is '{_FIRST}'"
    diagnostics.report("missing-version", message, span, label=f"expected '{_FIRST}'", help=help_, fixes=(fix,))


def _report_misplaced(source: Source, lines: Lines, code: str, message: str, diagnostics: Diagnostics) -> None:
    span = Span(source, token_start(lines.tokens[0]), token_end(lines.tokens[-1]))
    label = "move this line to the top" if code == "missing-version" else "remove this line"
    diagnostics.report(code, message, span, label=label, help=f"a file begins with '{_FIRST}', once")
