"""Mistakes with one reading only: each is reported, and parsing goes on as if it were fixed."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from lark import Token

from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity
from sewdsl.light_dataclass import dataclass
from sewdsl.source import Source, Span
from sewdsl.syntax.scanner import token_span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

_ITEM_STARTS = frozenset({"WORD", "LBRACE", "LESS"})
_NO_SEQUENCE = frozenset({"_COMMA", "_PLUS", "STRING", "LBRACE"})
"""Where one of these is accepted, a '-' joins no layers: in arguments, formulas, settings, and what a section is on."""
_NUMBERS = frozenset({"DECIMAL", "SIZE", "QUANTITY"})
_SEQUENCE_ENDS = frozenset({"RBRACE", "MORE", "_RSQB", "_BAR", "_OR", "$END"})
_SEQUENCE_STARTS = {
    "LBRACE": "{", "LESS": "<", "_LSQB": "[", "_BAR": "|", "_OR": "or", "_EQUAL": "=", "_GIVE": "give", "_BODY": "body",
}  # fmt: skip


@dataclass(frozen=True)
class TokenRepair:
    """What is put in for what is missing.

    Attributes:
        tokens: Fed to the parser before the token that it did not expect.
        faithful: Whether the tree then says what the user intended.
        skip: How many tokens are passed over, from that one on.
    """

    diagnostic: Diagnostic
    tokens: tuple[Token, ...] = ()
    faithful: bool = True
    skip: int = 0


def repair_token(
    source: Source, before: Token | None, ahead: Sequence[Token], accepted: AbstractSet[str]
) -> TokenRepair | None:
    """Recognises a known mistake at a token that the parser did not expect.

    Args:
        before: The token that the parser took last, if any.
        ahead: The one that it refused, and all after it; of these, the last is the end.
        accepted: Kinds of tokens that it would have taken.

    Returns:
        What to say and what to go on with, or None if the mistake is not a known one.
    """
    kind, token = before.type if before is not None else "", ahead[0]
    places = _Places(source, before, token)
    if "_STAR" in accepted and kind in {"RBRACE", "MORE"}:
        return places.missing_count(star=True)
    if kind == "_STAR" and "INTEGER" in accepted and "_LPAR" not in accepted and token.type not in _NUMBERS:
        return places.missing_count(star=False)
    if token.type in _ITEM_STARTS and "_DASH" in accepted and accepted.isdisjoint(_NO_SEQUENCE):
        return places.missing_hyphen()
    if kind == "KEY" and token.type == "_EQUAL":
        return places.extra_equal()
    if {"WORD", "LBRACE"} <= accepted:
        return _without_item(places, kind, ahead)
    return None


def _without_item(places: _Places, kind: str, ahead: Sequence[Token]) -> TokenRepair | None:
    """Recognises what is wrong where a layer, a block or a repeat is missing."""
    token = ahead[0]
    if kind == "_DASH":
        more = list(takewhile(lambda other: other.type == "_DASH", ahead))
        if ahead[len(more)].type in _SEQUENCE_ENDS:
            return places.trailing_hyphens(more)
        if more:
            return places.more_hyphens(more)
    if token.type in _SEQUENCE_ENDS and (not kind or kind in _SEQUENCE_STARTS):
        return places.empty_sequence()
    return None


class _Places:
    """The two tokens around a mistake."""

    def __init__(self, source: Source, before: Token | None, token: Token) -> None:
        self.before, self.token = before, token
        self.here = token_span(source, token)
        self.last = token_span(source, before) if before is not None else Span(source, 0, 0)
        self._source = source
        self.gap = Span(source, self.last.end, max(self.last.end, self.here.start))

    def _span(self, token: Token) -> Span:
        return token_span(self._source, token)

    def missing_hyphen(self) -> TokenRepair:
        edit = Edit(self.gap if self.gap.text.isspace() else self.last.after, "-")
        mistake = Diagnostic(
            "missing-hyphen",
            Severity.ERROR,
            f"a '-' is missing before '{self.here.text}'",
            self.here.part(0, 0),
            label="expected '-' before this",
            help="layers, blocks and repeats are joined by '-'; it may have been lost at a line break",
            fixes=(Fix("insert the missing '-'", (edit,)),),
        )
        return TokenRepair(mistake, (_virtual("_DASH", "-", self.last),))

    def trailing_hyphens(self, more: Sequence[Token]) -> TokenRepair:
        """A '-' that nothing follows, perhaps with more of them: all are removed at once."""
        hyphens = (self.last, *map(self._span, more))
        many = f"these {len(hyphens)} '-'" if more else "this '-'"
        mistake = Diagnostic(
            "trailing-hyphen",
            Severity.ERROR,
            f"nothing follows {many}",
            self.last.to(hyphens[-1]),
            label="join nothing" if more else "joins nothing",
            help=f"remove {'them' if more else 'it'}, or write what comes next",
            fixes=(Fix("remove the trailing '-'", tuple(Edit(hyphen, "") for hyphen in hyphens)),),
        )
        return TokenRepair(mistake, (_virtual("WORD", "", hyphens[-1].after),), skip=len(more))

    def more_hyphens(self, more: Sequence[Token]) -> TokenRepair:
        """More than one '-' in a row, before something that they could join."""
        hyphens = tuple(map(self._span, more))
        found, removed, label = "a second '-'", "remove the second '-'", "one too many"
        if len(more) > 1:
            found, removed = f"{len(more) + 1} '-' in a row", f"remove {len(more)} of the '-'"
            label = f"{len(more)} too many"
        mistake = Diagnostic(
            "unexpected-token",
            Severity.ERROR,
            f"found {found}, expected a layer, a block or '{{'",
            hyphens[0].to(hyphens[-1]),
            label=label,
            help="leave one, or write what belongs between them",
            fixes=(Fix(removed, tuple(Edit(hyphen, "") for hyphen in hyphens), safe=False),),
        )
        return TokenRepair(mistake, skip=len(more))

    def extra_equal(self) -> TokenRepair:
        key = self.last.text
        blank = "" if self.here.source.text[self.here.end : self.here.end + 1].isspace() else " "
        edit = Edit(Span(self.here.source, self.gap.start, self.here.end), blank)
        mistake = Diagnostic(
            "unexpected-token",
            Severity.ERROR,
            f"found '=', expected the value of '{key}'",
            self.here,
            label="not written here",
            help=f"a setting's value follows its name: '{key} …'",
            fixes=(Fix("remove the '='", (edit,)),),
        )
        return TokenRepair(mistake, skip=1)

    def empty_sequence(self) -> TokenRepair:
        opener = _SEQUENCE_STARTS.get(self.before.type, "") if self.before is not None else ""
        brackets = opener in {"{", "<"} and self.token.type in {"RBRACE", "MORE"}
        what = {
            "[": "the branch",
            "|": "the shortcut",
            "or": "the alternative",
            "=": "the definition",
            "give": "what the block gives",
        }
        subject = "the repeat" if brackets else what.get(opener, "the body")
        advice = (
            "write 'id' for a shortcut that passes its input on" if opener in {"|", "or"} else "write what it holds"
        )
        mistake = Diagnostic(
            "empty-sequence",
            Severity.ERROR,
            f"{subject} is empty",
            self.last.to(self.here) if brackets else self.last,
            label="expected at least one layer or block" + ("" if brackets else " after this"),
            help=advice,
        )
        return TokenRepair(mistake, (_virtual("WORD", "", self.last.after),), faithful=False)

    def missing_count(self, *, star: bool) -> TokenRepair:
        number = self.token.type == "INTEGER"
        fix = Fix("insert the missing '*'", (Edit(self.gap, "*"),))
        mistake = Diagnostic(
            "missing-count",
            Severity.ERROR,
            "a repeat has no '*' before its count" if number else "a repeat has no count",
            self.here if number else self.last,
            label="expected '*' before this" if number else "expected a count after this",
            help="write how often it comes, such as '*2'",
            fixes=(fix,) if number else (),
        )
        tokens = (_virtual("_STAR", "*", self.last), _virtual("INTEGER", "1", self.last))
        if number:
            return TokenRepair(mistake, tokens[:1])
        return TokenRepair(mistake, tokens if star else tokens[1:])


def _virtual(kind: str, text: str, place: Span) -> Token:
    """A token that is not written, at the end of a span."""
    line, column = place.source.position(place.end)
    return Token(kind, text, place.end, line, column, line, column, place.end)
