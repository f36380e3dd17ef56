"""What is said where a token stands that fits nothing: what was found and what was expected, in the reader's words."""

from __future__ import annotations

from collections.abc import Container
from difflib import get_close_matches

from lark import Token

from sewdsl.diagnostics import Diagnostics, Edit, Fix
from sewdsl.source import Source, Span
from sewdsl.syntax.lexicon import KEYWORDS
from sewdsl.syntax.scanner import end, start

_ITEM = "a layer, a block or '{'"
_WORDS = (
    ("STRING", "a value"),
    ("DECIMAL", "a number"),
    ("INTEGER", "a whole number"),
    ("WORD", "a name"),
    ("_LPAR", "'('"),
    ("_STAR", "'*'"),
    ("_EQUAL", "'='"),
    ("_COMMA", "','"),
    ("_DASH", "'-'"),
    ("_BAR", "'|'"),
    ("_RPAR", "')'"),
    ("_RSQB", "']'"),
    ("RBRACE", "'}'"),
    ("MORE", "'>'"),
    ("LBRACE", "'{'"),
    ("$END", "the end of the line"),
)


def report_unexpected(  # noqa: PLR0913 -- the situation of a parser in full
    source: Source,
    tokens: list[Token],
    before: Token | None,
    token: Token,
    wanted: Container[str],
    diagnostics: Diagnostics,
) -> None:
    """Reports a token that the parser did not expect."""
    if before is not None and tokens[0].type == "KEY" and _report_unknown_statement(source, tokens[0], diagnostics):
        return
    span = Span(source, start(token), end(token))
    expected = _expected(wanted)
    diagnostics.report(
        "unexpected-token",
        f"found {_found(token)}, expected {expected}",
        span,
        label=f"expected {expected}",
        help=_help(tokens, before, token),
        fixes=(),
    )


def _found(token: Token) -> str:
    return "the end" if token.type == "$END" else f"'{token}'"


def _expected(wanted: Container[str]) -> str:
    """The kinds of tokens in words, the most telling only."""
    if "WORD" in wanted and "LBRACE" in wanted:
        return _ITEM
    words = [text for kind, text in _WORDS if kind in wanted]
    if "KEY" in wanted:
        return "a statement such as 'body' or 'steps 16'"
    if "STRING" in wanted:
        words = ["a value"]
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else "nothing more"


def _help(tokens: list[Token], before: Token | None, token: Token) -> str:
    if before is None and token.type == "_DASH":
        return "a '-' goes to the end of the line before, so that the statement goes on"
    if token.type == "_EQUAL" and before is not None and before is tokens[0]:
        return "a setting's value stands behind its key without '='"
    return ""


def _report_unknown_statement(source: Source, key: Token, diagnostics: Diagnostics) -> bool:
    """Reports a statement whose first word looks like a keyword's misspelling."""
    close = get_close_matches(key.lower(), KEYWORDS, n=1)
    if not close:
        return False
    span = Span(source, start(key), end(key))
    diagnostics.report(
        "unknown-statement",
        f"unknown statement '{key}'",
        span,
        label=f"did you mean '{close[0]}'?",
        help=f"statements begin with {', '.join(KEYWORDS)} or the name of a setting",
        fixes=(Fix(f"write '{close[0]}'", (Edit(span, close[0]),), safe=False),),
    )
    return True
