"""What is said where a token stands that fits nothing: what was found and what was expected, in the reader's words."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import TYPE_CHECKING

from sewdsl.diagnostics import Diagnostics, Edit, Fix
from sewdsl.source import Source, Span
from sewdsl.syntax.lexicon import KEYWORDS
from sewdsl.syntax.scanner import end, start

if TYPE_CHECKING:
    from lark import Token

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


@dataclass(frozen=True)
class Situation:
    """Where a parser stopped.

    Attributes:
        tokens: Those of the statement, whole.
        rule: What the statement was to be.
        before: The last token that the parser took.
        token: The one that it refused.
        accepted: Kinds of tokens that it would have taken.
    """

    source: Source
    tokens: list[Token]
    rule: str
    before: Token | None
    token: Token
    accepted: AbstractSet[str]

    @property
    def expression(self) -> bool:
        """Whether the statement ends with a sequence."""
        return self.rule == "compact" or self.tokens[0].type in {"_BODY", "_BLOCK"}

    @property
    def finish(self) -> str:
        """What the end of the tokens is to the reader."""
        return "the end of the line" if self.rule in {"statement", "setting"} else "the end"

    def span(self, token: Token) -> Span:
        """Where a token stands."""
        return Span(self.source, start(token), end(token))


def report_unexpected(situation: Situation, diagnostics: Diagnostics) -> None:
    """Reports a token that the parser did not expect."""
    first, token = situation.tokens[0] if situation.tokens else situation.token, situation.token
    if situation.rule == "statement" and first.type == "KEY" and first is not token:
        close = get_close_matches(first.lower(), KEYWORDS, n=1)
        if close:
            report_unknown_statement(situation.span(first), close[0], diagnostics)
            return
    expected = expectation(situation)
    found = f"'{token}'" if token else situation.finish
    advice, fixes = _advice(situation)
    diagnostics.report(
        "unexpected-token",
        f"found {found}, expected {expected}",
        situation.span(token),
        label=f"expected {expected}",
        help=advice,
        fixes=fixes,
    )


def expectation(situation: Situation) -> str:
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


def _advice(situation: Situation) -> tuple[str, tuple[Fix, ...]]:
    """How the usual mistakes are mended."""
    before, token = situation.before, situation.token
    advice = ""
    fixes: tuple[Fix, ...] = ()
    if before is None:
        advice = (
            "put the '-' at the end of the line before: then the statement goes on" if token.type == "_DASH" else ""
        )
    elif token.type in {"INTEGER", "DECIMAL"} and before.type == "WORD" and "_DASH" in situation.accepted:
        advice = f"a number that belongs to '{before}' stands right behind it: '{before}{token}'"
        gap = Span(situation.source, end(before), start(token))
        fixes = (Fix("remove the space", (Edit(gap, ""),), safe=False),)
    elif token.type in {"_STAR", "TIMES"} and before.type == "WORD":
        advice = f"a count stands behind braces: {{{before}}}*2; in a layer, sizes stand between 'x', as in k3x5"
    elif token.type == "LBRACE" and situation.tokens[0].type == "KEY":
        advice = "only a section, such as 'train', has entries in braces"
    elif [token.type for token in situation.tokens[:2]] == ["KEY", "_DASH"]:
        advice = "layers stand behind 'body'; they go on in the next line where a line ends with '-'"
    elif situation.tokens[0].type == "KEY" and any(_hyphenated(*pair) for pair in pairwise(situation.tokens)):
        advice = "a value with '-' in it stands between double quotes"
    elif before.type == "_USE":
        advice = "put the path between double quotes"
    return advice, fixes


def _hyphenated(dash: Token, word: Token) -> bool:
    return dash.type == "_DASH" and word.type == "WORD"


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
