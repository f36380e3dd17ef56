"""``sewdsl fmt``: the same tokens and comments in canonical spacing, line by line."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from sewdsl.diagnostics import Diagnostics, SewdslError
from sewdsl.garbage import put_off
from sewdsl.source import Source
from sewdsl.syntax.brackets import match_brackets
from sewdsl.syntax.layout import statements
from sewdsl.syntax.limits import DEFAULT_LIMITS, Limits
from sewdsl.syntax.parser import parse
from sewdsl.syntax.rows import FormattedLine, LineLayout, align_comments
from sewdsl.syntax.scanner import scan, token_start

if TYPE_CHECKING:
    from lark import Token

    from sewdsl.syntax.layout import Lines


@put_off()
def format_source(source: Source, limits: Limits = DEFAULT_LIMITS) -> str:
    r"""The text of a ``.net`` file in canonical form; formatting it again changes nothing.

    Line breaks within statements stay where they are. So do comments, byte for byte, and those that are aligned with
    each other stay aligned. Typographic characters are replaced, line ends become ``\n``, one blank line at most
    stays where there were several, and a section has its braces on lines of their own or stands in a single line.

    Raises:
        SewdslError: the file has syntax errors, so nobody knows how it should look.
    """
    diagnostics = Diagnostics()
    parse(source, diagnostics, limits)
    if diagnostics.errors:
        raise SewdslError(diagnostics)
    tokens = scan(source)
    lines = statements(tokens, match_brackets(source, tokens, Diagnostics(), limits))
    rows = LineLayout(lines).of(_split(tokens, lines))
    return "".join(f"{row.text}\n" for row in align_comments(_without_blanks(rows)))


def _split(tokens: list[Token], lines: list[Lines]) -> list[list[Token]]:
    """The tokens of each line; a section over several lines is broken behind ``{`` and before ``}``."""
    behind, before = set(), set()
    for statement in lines:
        if statement.section:
            opener, closer = statement.tokens[-2:]
            if opener.line != closer.line:
                behind.add(token_start(opener))
                before.add(token_start(closer))
    split: list[list[Token]] = [[]]
    broken = False
    for token in tokens:
        if token.type == "NEWLINE":
            split.append([])
        else:
            if split[-1] and (token_start(token) in before or (broken and token.type != "COMMENT")):
                split.append([])
            split[-1].append(token)
        broken = token_start(token) in behind
    return split


def _without_blanks(rows: list[FormattedLine]) -> list[FormattedLine]:
    """The rows with one blank row at most between others, and none at the ends."""
    runs = [list(run) for _, run in groupby(rows, key=lambda row: row.blank)]
    inner = [run[:1] if run[0].blank else run for run in runs]
    if inner and inner[0][0].blank:
        inner = inner[1:]
    if inner and inner[-1][0].blank:
        inner = inner[:-1]
    return [row for run in inner for row in run]
