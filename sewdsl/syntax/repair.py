"""Mistakes with one reading only: each is reported, and parsing goes on as if it were mended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lark import Token

from sewdsl.diagnostics import Diagnostics, Edit, Fix
from sewdsl.source import Source, Span
from sewdsl.syntax.scanner import end, start

if TYPE_CHECKING:
    from collections.abc import Container

_ITEM_STARTS = frozenset({"WORD", "LBRACE", "LESS"})
_SEQUENCE_ENDS = frozenset({"RBRACE", "MORE", "_RSQB", "_BAR", "_OR", "$END"})
_SEQUENCE_STARTS = {"LBRACE": "{", "LESS": "<", "_LSQB": "[", "_BAR": "|", "_OR": "or", "_EQUAL": "=", "_BODY": "body"}


@dataclass(frozen=True)
class Repair:
    """What stands in for what is missing.

    Attributes:
        tokens: Fed to the parser before the token that it did not expect.
        faithful: Whether the tree then says what the user meant.
    """

    tokens: tuple[Token, ...]
    faithful: bool = True


def repair(
    source: Source, before: Token | None, token: Token, wanted: Container[str], diagnostics: Diagnostics
) -> Repair | None:
    """Reports a known mistake at a token that the parser did not expect.

    Args:
        source: The text.
        before: The token that the parser took last, if any.
        token: The one that it refused.
        wanted: Kinds of tokens that it would have taken.
        diagnostics: Where the mistake is reported.

    Returns:
        What to go on with, or None if the mistake is not a known one; nothing is reported then.
    """
    kind = before.type if before is not None else ""
    places = _Places(source, before, token, diagnostics)
    if "_STAR" in wanted and kind in {"RBRACE", "MORE"}:
        return places.missing_count(star=True)
    if kind == "_STAR" and "INTEGER" in wanted and token.type not in {"DECIMAL", "SIZE", "QUANTITY"}:
        return places.missing_count(star=False)
    if token.type in _ITEM_STARTS and "_DASH" in wanted and "_EQUAL" not in wanted:
        return places.missing_hyphen()
    if token.type in _SEQUENCE_ENDS and "WORD" in wanted and "LBRACE" in wanted:
        if kind == "_DASH":
            return places.trailing_hyphen()
        if before is None or kind in _SEQUENCE_STARTS:
            return places.empty_sequence()
    return None


class _Places:
    """The two tokens around a mistake."""

    def __init__(self, source: Source, before: Token | None, token: Token, diagnostics: Diagnostics) -> None:
        self.before, self.token, self.diagnostics = before, token, diagnostics
        self.here = Span(source, start(token), end(token))
        self.last = Span(source, start(before), end(before)) if before is not None else Span(source, 0, 0)
        self.gap = Span(source, self.last.end, max(self.last.end, self.here.start))

    def missing_hyphen(self) -> Repair:
        edit = Edit(self.gap if self.gap.text.isspace() else self.last.after, "-")
        self.diagnostics.report(
            "missing-hyphen",
            f"a '-' is missing before '{self.here.text}'",
            self.here.part(0, 0),
            label="expected '-' before this",
            help="layers, blocks and repeats are joined by '-'; it may have been lost at a line break",
            fixes=(Fix("insert the missing '-'", (edit,)),),
        )
        return Repair((_virtual("_DASH", "-", self.last),))

    def trailing_hyphen(self) -> Repair:
        self.diagnostics.report(
            "trailing-hyphen",
            "nothing follows this '-'",
            self.last,
            label="joins nothing",
            help="remove it, or write what comes next",
            fixes=(Fix("remove the trailing '-'", (Edit(self.last, ""),)),),
        )
        return Repair((_virtual("WORD", "", self.last.after),))

    def empty_sequence(self) -> Repair:
        opener = _SEQUENCE_STARTS.get(self.before.type, "") if self.before is not None else ""
        brackets = opener in {"{", "<"} and self.token.type in {"RBRACE", "MORE"}
        what = {"[": "the branch", "|": "the shortcut", "or": "the alternative", "=": "the block"}
        subject = "the repeat" if brackets else what.get(opener, "the body")
        self.diagnostics.report(
            "empty-sequence",
            f"{subject} is empty",
            self.last.to(self.here) if brackets else self.last,
            label="expected at least one layer or block" + ("" if brackets else " behind this"),
            help="write 'id' for a shortcut that passes its input on" if opener in {"|", "or"} else "write what it holds",
        )
        return Repair((_virtual("WORD", "", self.last.after),), faithful=False)

    def missing_count(self, *, star: bool) -> Repair:
        number = self.token.type == "INTEGER"
        fix = Fix("insert the missing '*'", (Edit(self.gap, "*"),))
        self.diagnostics.report(
            "missing-count",
            "a repeat has no '*' before its count" if number else "a repeat has no count",
            self.here if number else self.last,
            label="expected '*' before this" if number else "expected a count behind this",
            help="write how often it comes, such as '*2'",
            fixes=(fix,) if number else (),
        )
        tokens = (_virtual("_STAR", "*", self.last), _virtual("INTEGER", "1", self.last))
        if number:
            return Repair(tokens[:1])
        return Repair(tokens if star else tokens[1:])


def _virtual(kind: str, text: str, place: Span) -> Token:
    """A token that is not written, at the end of a span."""
    line, column = place.source.position(place.end)
    return Token(kind, text, place.end, line, column, line, column, place.end)
