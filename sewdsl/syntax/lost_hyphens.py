"""A hyphen lost at a line break: a line that is no statement, but goes on with the body or the block before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING

from lark import Token

from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity
from sewdsl.reporter import Reported
from sewdsl.source import Source, Span
from sewdsl.syntax.lexicon import KEYWORDS, SETTINGS
from sewdsl.syntax.scanner import token_end, token_start

if TYPE_CHECKING:
    from sewdsl.syntax.statements import Lines

Reads = Callable[[list[Token], str], bool]
"""Whether tokens follow a rule of the grammar."""


def rejoin_lines(source: Source, statements: list[Lines], reads: Reads) -> Reported[list[Lines]]:
    """The statements, each with the lines after it that only a lost hyphen keeps from being part of it.

    Args:
        source: The text.
        statements: Those of a file, in order.
        reads: Whether tokens follow a rule.
    """
    with_body = any(lines.tokens[0].type == "_BODY" for lines in statements)
    names = {pair for lines in statements if lines.tokens[0].type == "_BLOCK" for pair in _within_name(lines.tokens)}
    joined: list[Lines] = []
    found: list[Diagnostic] = []
    complete: bool | None = None  # whether the last one could end where it does; None: not known yet
    for lines in statements:
        before = joined[-1].tokens if joined else []
        broken_name = bool(before) and (str(before[-1]), str(lines.tokens[0])) in names
        if before and not broken_name and _may_go_on(before, lines.tokens, with_body=with_body):
            complete = reads(before, "statement") if complete is None else complete
            onward = [_as_item(lines.tokens[0]), *lines.tokens[1:]]
            if complete and reads(onward, "compact"):
                place = Span(source, token_start(before[-1]), token_end(before[-1])).after
                found.append(_lost_hyphen(place))
                before += [_hyphen(place), *onward]
                continue
        joined.append(lines)
        complete = None
    return Reported(joined, tuple(found))


def _within_name(tokens: list[Token]) -> Iterator[tuple[str, str]]:
    """The words that follow each other in the name of a block's definition."""
    return pairwise(map(str, takewhile(lambda token: token.type == "WORD", tokens[1:])))


def _may_go_on(before: list[Token], tokens: list[Token], *, with_body: bool) -> bool:
    """Whether a line can be no statement of its own, and follows a network.

    In a file without a body, a line after a block may as well be the body, unless it is indented.
    """
    first, *rest = tokens
    opener = before[0]
    deeper = (first.column or 0) > (opener.column or 0)
    if opener.type not in {"_BODY", "_BLOCK"} or not (with_body or deeper):
        return False
    if first.type in {"LBRACE", "LESS"}:
        return True
    return first.type == "KEY" and not _like_a_setting(first, rest, deeper=deeper)


def _like_a_setting(first: Token, rest: list[Token], *, deeper: bool) -> bool:
    """Whether a line begins as a setting does, if only as a misspelt one, or one of a section: ``schedule Cosine``."""
    if first.casefold() in {*KEYWORDS, *SETTINGS}:
        return True
    joined = deeper and (not rest or any(token.type == "_DASH" for token in rest))
    return first.isalpha() and first.islower() and not joined and (not rest or rest[0].type == "WORD")


def _as_item(first: Token) -> Token:
    return Token.new_borrow_pos("WORD", first, first) if first.type == "KEY" else first


def _lost_hyphen(place: Span) -> Diagnostic:
    return Diagnostic(
        "missing-hyphen",
        Severity.ERROR,
        "a '-' is missing at the end of this line, since the next one is no statement",
        place,
        label="expected '-' here",
        help="a network goes on in the next line where a line ends with '-'; it may have been lost at the line break",
        fixes=(Fix("insert the missing '-'", (Edit(place, "-"),)),),
    )


def _hyphen(place: Span) -> Token:
    return Token("_DASH", "-", place.start, place.line, place.column, place.line, place.column, place.end)
