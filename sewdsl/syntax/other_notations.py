"""A network in the notation of other papers, 128C3-AP2-10FC, where ours is expected; and ours where theirs is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity
from sewdsl.source import Source, Span
from sewdsl.syntax.scanner import token_end, token_start

if TYPE_CHECKING:
    from lark import Token

_LAYERS = re.compile(r"(?:C|Conv)[0-9]+\w*|FC[0-9]*|[ox][0-9]*C?[0-9]*", re.IGNORECASE)
"""What directly follows a number there, and no number in ours."""
_OURS = re.compile(r"c[0-9]+k[0-9]\w*|[MA]Pk[0-9]\w*|SEW\w*")
"""What only our own notation has."""
_CONVOLUTION = re.compile(r"C(?:onv)?([0-9]+)", re.IGNORECASE)
_NUMBERS = ["INTEGER", "_DASH", "INTEGER"]


def check_other_notation(source: Source, tokens: list[Token]) -> list[Diagnostic]:
    """What is to be said of a network in another notation; nothing of one that is in ours.

    Args:
        source: The text.
        tokens: Those of a body.
    """
    body = [token for token in tokens if token.type != "_BODY"]
    if _ours(tokens) is not None:
        return [*_check_layers(source, body)]
    place = _place(source, body)
    if place is None:
        return []
    return [
        Diagnostic(
            "other-notation",
            Severity.ERROR,
            f"'{place.text}' is the notation of other papers",
            place,
            label="not our notation",
            help="add --dialect he to read a string so; for a file, sewdsl fmt --dialect he 'STRING' prints it in ours",
        )
    ]


def check_own_notation(source: Source, tokens: list[Token]) -> list[Diagnostic]:
    """What is to be said of a network of ours where one in another notation is expected; nothing of any other."""
    ours = _ours(tokens)
    if ours is None:
        return []
    return [
        Diagnostic(
            "other-notation",
            Severity.ERROR,
            f"'{ours}' is sewdsl's own notation, not that of the dialect",
            Span(source, token_start(ours), token_end(ours)),
            label="our own notation",
            help="leave out --dialect",
        )
    ]


def _ours(tokens: list[Token]) -> Token | None:
    """The first layer or block that only our notation has."""
    return next((token for token in tokens if _OURS.fullmatch(token)), None)


def _check_layers(source: Source, tokens: list[Token]) -> Iterator[Diagnostic]:
    """Complains of the single layers of the other notation in a network of ours."""
    for before, (number, word) in zip([None, *tokens], pairwise(tokens), strict=False):
        counts = before is not None and before.type == "_STAR"
        ours = _in_ours(number, word) if number.type == "INTEGER" and token_end(number) == token_start(word) else None
        if ours is None or counts:
            continue
        place = Span(source, token_start(number), token_end(word))
        yield Diagnostic(
            "other-notation",
            Severity.ERROR,
            f"'{place.text}' is the notation of other papers",
            place,
            label="not our notation",
            help=f"write '{ours}'",
            fixes=(Fix(f"write '{ours}'", (Edit(place, ours),)),),
        )


def _in_ours(number: Token, word: Token) -> str | None:
    """``c32k3`` for ``32C3``, ``FC10`` for ``10FC``; None: it is neither. Kernels are small, channels are many."""
    convolution = _CONVOLUTION.fullmatch(word)
    if convolution is not None and int(convolution[1]) < int(number):
        return f"c{number}k{convolution[1]}"
    return f"FC{number}" if word.casefold() == "fc" else None


def _place(source: Source, tokens: list[Token]) -> Span | None:
    """The first layer of the other notation, no count with a lost hyphen after it; or the first of several numbers."""
    for before, (number, word) in zip([None, *tokens], pairwise(tokens), strict=False):
        touching = number.type == "INTEGER" and token_end(number) == token_start(word)
        counts = before is not None and before.type == "_STAR"
        if touching and not counts and word.type == "WORD" and _LAYERS.fullmatch(word):
            return Span(source, token_start(number), token_end(word))
    if [token.type for token in tokens[:3]] == _NUMBERS:
        return Span(source, token_start(tokens[0]), token_end(tokens[0]))
    return None
