"""Text pasted from papers: a network without ``body``, and the citations and figures of a table's row."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from lark import Token

from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity
from sewdsl.reporter import Reported
from sewdsl.source import Source, Span
from sewdsl.syntax.lexicon import HEADER_VALUE_COLUMN, KEYWORDS, SETTINGS
from sewdsl.syntax.scanner import token_end, token_start

if TYPE_CHECKING:
    from sewdsl.syntax.statements import Lines


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


def strip_citation(source: Source, tokens: list[Token]) -> Reported[list[Token]]:
    """The tokens of a body without a citation at its end, of which that is said."""
    tail = tokens[-_LONGEST:]
    found = _CITATION.search("".join(_LETTERS.get(token.type, "x") for token in tail))
    first = len(tokens) - len(tail) + found.start() if found else 0
    if first == 0 or tokens[first - 1].type in {"_DASH", "TIMES"}:  # a layer belongs there, or a group of layers
        return Reported(tokens)
    span = Span(source, token_start(tokens[first]), token_end(tokens[-1]))
    before = Span(source, token_end(tokens[first - 1]), span.end)
    citation = Diagnostic(
        "trailing-citation",
        Severity.ERROR,
        f"'{' '.join(span.text.split())}' is no part of the network",
        span,
        label="a citation or a name, as a paper prints it after a network",
        help="remove it; a file names its network with 'network \"…\"'",
        fixes=(Fix("remove it", (Edit(before, ""),)),),
    )
    return Reported(tokens[:first], (citation,))


_BODY = "body"
_ITEMS = frozenset({"WORD", "LBRACE", "LESS"})


def add_missing_body(source: Source, statements: list[Lines]) -> Diagnostic | None:
    """Makes a network without ``body`` before it the body, and says that the word is missing.

    Does nothing where that is not the only reading: the file has a body, more than one such line, or one after a
    block that may go on there.
    """
    bare = [i for i, lines in enumerate(statements) if _is_network(lines.tokens)]
    if len(bare) != 1 or any(lines.tokens[0].type == "_BODY" for lines in statements):
        return None
    place = bare[0]
    if place and statements[place - 1].tokens[0].type == "_BLOCK":
        return None
    tokens = statements[place].tokens
    first = tokens[0]
    here = Span(source, token_start(first), token_end(first))
    missing = Diagnostic(
        "missing-body",
        Severity.ERROR,
        f"the network has no '{_BODY}' before it",
        here.part(0, 0),
        label=f"expected '{_BODY}' before this",
        help=f"in a file, a network follows the word '{_BODY}'",
        fixes=(Fix(f"insert '{_BODY}'", (Edit(here.part(0, 0), _BODY.ljust(HEADER_VALUE_COLUMN)),)),),
    )
    if first.type == "KEY":
        first.type = "WORD"
    tokens.insert(0, Token("_BODY", "", here.start, first.line, first.column, first.line, first.column, here.start))
    return missing


def _is_network(tokens: list[Token]) -> bool:
    """Whether a statement begins as a sequence of layers does, and as no setting."""
    first, *rest = tokens
    if first.type in {"LBRACE", "LESS"}:
        return True
    if first.type != "KEY" or first.casefold() in {*KEYWORDS, *SETTINGS} or not rest:
        return False
    if rest[0].type == "_DASH":
        return len(rest) > 1 and rest[1].type in _ITEMS
    joined = any(dash.type == "_DASH" and item.type in _ITEMS for dash, item in pairwise(rest))
    return joined and rest[0].type in {"_LPAR", "_LSQB"}
