"""What is said where a token stands that fits nothing: what was found and what was expected, in the reader's words."""

from __future__ import annotations

from difflib import get_close_matches

from sewdsl.diagnostics import Diagnostics, Edit, Fix
from sewdsl.source import Span
from sewdsl.syntax.advice import ParseFailure, mistake_help
from sewdsl.syntax.lexicon import KEYWORDS

_ITEM = "a layer, a block or '{'"
_WORDS = (
    ("INTEGER", "a whole number"),
    ("WORD", "a name"),
    ("_LPAR", "'('"),
    ("LBRACE", "'{'"),
    ("_ON", "'on'"),
    ("_EQUAL", "'='"),
    ("_COMMA", "','"),
    ("_PLUS", "'+'"),
    ("_DASH", "'-'"),
    ("_STAR", "'*'"),
    ("_SLASH", "'/'"),
    ("_BAR", "'|'"),
    ("_OR", "'or'"),
    ("_RPAR", "')'"),
    ("_RSQB", "']'"),
    ("RBRACE", "'}'"),
    ("MORE", "'>'"),
)
_GO_ON = {"WORD", "_OPEN", "_LPAR", "_LSQB"}
"""What would make the word before longer: not worth a mention where it may as well be complete."""


def report_unexpected(situation: ParseFailure, diagnostics: Diagnostics) -> None:
    """Reports a token that the parser did not expect."""
    first, token = situation.tokens[0] if situation.tokens else situation.token, situation.token
    if situation.rule == "statement" and first.type == "KEY" and first is not token:
        close = get_close_matches(first.lower(), KEYWORDS, n=1)
        if close:
            report_unknown_statement(situation.span(first), close[0], diagnostics)
            return
    expected = describe_accepted(situation)
    found = f"'{token}'" if token else situation.finish
    advice = mistake_help(situation)
    diagnostics.report(
        "unexpected-token",
        f"found {found}, expected {expected}",
        situation.span(token),
        label=f"expected {expected}",
        help=advice.text,
        fixes=advice.fixes,
    )


def describe_accepted(situation: ParseFailure) -> str:
    """What would have been accepted, in words; the most telling only."""
    accepted = set(situation.accepted)
    if "KEY" in accepted:
        return "a statement, such as 'body' or a setting" if situation.rule == "statement" else "a setting's name"
    if {"WORD", "LBRACE"} <= accepted and "_LPAR" not in accepted:
        return _ITEM
    if "STRING" in accepted:
        words = ["a value" if "SIZE" in accepted else "a string in double quotes"]
        words += ["')'"] if "_RPAR" in accepted else []
    elif "DECIMAL" in accepted:
        words = ["a number"] + (["a name"] if "WORD" in accepted else [])
    else:
        if accepted & {"_DASH", "_COMMA", "_EQUAL"} and "INTEGER" not in accepted:
            accepted -= _GO_ON
        words = [text for kind, text in _WORDS if kind in accepted]
    if "$END" in accepted:
        words += ["'-'"] if not words and situation.expression else []
        words += [situation.finish]
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def report_unknown_statement(span: Span, close: str, diagnostics: Diagnostics) -> None:
    """Reports a statement whose first word looks like a keyword's misspelling."""
    diagnostics.report(
        "unknown-statement",
        f"unknown statement '{span.text}'",
        span,
        label=f"did you mean '{close}'?",
        help=f"a statement begins with {', '.join(KEYWORDS)} or the name of a setting",
        fixes=(Fix(f"write '{close}'", (Edit(span, close),), safe=False),),
    )
