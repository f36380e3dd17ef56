"""What a table's row holds behind a network: ``[8]``, ``(7B-Net)``, and figures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sewdsl.diagnostics import Diagnostics, Edit, Fix
from sewdsl.source import Source, Span
from sewdsl.syntax.scanner import token_end, token_start

if TYPE_CHECKING:
    from lark import Token

_LETTERS = {
    "_LSQB": "[",
    "_RSQB": "]",
    "_LPAR": "(",
    "_RPAR": ")",
    "_DASH": "-",
    "_COMMA": ",",
    "INTEGER": "1",
    "DECIMAL": "2",
    "QUANTITY": "3",
    "WORD": "w",
}
_CITATION = re.compile(r"(?:\[1(?:[-,]1)*\]|\([w123]+(?:-[w123]+)+\))[,123\[\]]*$")
"""A number in brackets, or words joined by dashes in parentheses: no call has such arguments, no join such a branch."""
_LONGEST = 64


def strip_citation(source: Source, tokens: list[Token], diagnostics: Diagnostics) -> list[Token]:
    """The tokens of a body without a citation at its end, which is reported."""
    tail = tokens[-_LONGEST:]
    found = _CITATION.search("".join(_LETTERS.get(token.type, "x") for token in tail))
    first = len(tokens) - len(tail) + found.start() if found else 0
    if first == 0 or tokens[first - 1].type in {"_DASH", "TIMES"}:  # a layer belongs there, or a group of layers
        return tokens
    span = Span(source, token_start(tokens[first]), token_end(tokens[-1]))
    before = Span(source, token_end(tokens[first - 1]), span.end)
    diagnostics.report(
        "trailing-citation",
        f"'{' '.join(span.text.split())}' is no part of the network",
        span,
        label="a citation or a name, as a paper prints it behind a network",
        help="remove it; a file names its network with 'network \"…\"'",
        fixes=(Fix("remove it", (Edit(before, ""),)),),
    )
    return tokens[:first]
