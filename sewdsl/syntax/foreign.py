"""A network in the notation of other papers, 128C3-AP2-10FC, where ours is expected."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from sewdsl.diagnostics import Diagnostics
from sewdsl.source import Source, Span
from sewdsl.syntax.scanner import end, start

if TYPE_CHECKING:
    from lark import Token

_LAYERS = re.compile(r"(?:C|Conv)[0-9]+\w*|FC[0-9]*|[ox][0-9]*C?[0-9]*", re.IGNORECASE)
"""What stands right behind a number there, and behind none in ours."""
_OURS = re.compile(r"c[0-9]+k[0-9].*")
_NUMBERS = ["INTEGER", "_DASH", "INTEGER"]


def report_foreign(source: Source, tokens: list[Token], diagnostics: Diagnostics) -> bool:
    """Reports a network in another notation.

    Args:
        source: The text.
        tokens: Those of a body.
        diagnostics: Where to report.

    Returns:
        Whether it is one: then nothing else is to be said of it.
    """
    place = _place(source, [token for token in tokens if token.type != "_BODY"])
    if place is None or any(_OURS.fullmatch(token) for token in tokens):
        return False
    diagnostics.report(
        "other-notation",
        f"'{place.text}' is the notation of other papers",
        place,
        label="not our notation",
        help="add --dialect he to read a string so; for a file, sewdsl fmt --dialect he 'STRING' prints it in ours",
    )
    return True


def _place(source: Source, tokens: list[Token]) -> Span | None:
    """The first layer of the other notation, no count with a lost hyphen behind; or the first of several numbers."""
    for before, (number, word) in zip([None, *tokens], pairwise(tokens), strict=False):
        touching = number.type == "INTEGER" and end(number) == start(word)
        counts = before is not None and before.type == "_STAR"
        if touching and not counts and word.type == "WORD" and _LAYERS.fullmatch(word):
            return Span(source, start(number), end(word))
    if [token.type for token in tokens[:3]] == _NUMBERS:
        return Span(source, start(tokens[0]), end(tokens[0]))
    return None
