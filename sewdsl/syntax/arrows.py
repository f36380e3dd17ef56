"""Arrows between layers, as slides and some papers draw them: each is read as a ``-``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.diagnostics import Diagnostics, Edit, Fix, Severity
from sewdsl.source import Source, Span
from sewdsl.syntax.lexicon import ARROWS
from sewdsl.syntax.scanner import token_end, token_start

if TYPE_CHECKING:
    from lark import Token

    from sewdsl.syntax.brackets import BracketPairs


def is_arrow(token: Token) -> bool:
    """Whether a token is an arrow."""
    return token.type == "_DASH" and token[-1] in ARROWS


def report_arrows(source: Source, tokens: list[Token], brackets: BracketPairs, diagnostics: Diagnostics) -> None:
    """Warns of each arrow.

    Its fix is safe where the ``>`` in it can close nothing: no ``<`` is without its partner.
    """
    safe = not any(source.text[offset] in "<\u27e8" for offset in brackets.unclosed)
    for token in filter(is_arrow, tokens):
        span = Span(source, token_start(token), token_end(token))
        diagnostics.report(
            "typographic-character",
            f"the arrow '{token}' is read as '-'",
            span,
            severity=Severity.WARNING,
            label="read as '-'",
            help="layers are joined by '-'",
            fixes=(Fix("write '-'", (Edit(span, "-"),), safe=safe),),
        )
