"""Repair of unambiguous syntax errors, so that parsing can continue after they are reported."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING

from lark import Token

from sewdsl.diagnostics import Diagnostic, Edit, Fix
from sewdsl.light_dataclass import dataclass
from sewdsl.source import Source, Span
from sewdsl.syntax.lexicon import POINTWISE, SETTINGS
from sewdsl.syntax.scanner import token_span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

_ITEM_STARTS = frozenset({"WORD", "LBRACE", "LESS", "_MAP"})
_NO_SEQUENCE = frozenset({"_COMMA", "_PLUS", "STRING", "LBRACE"})
"""Token types accepted outside of sequences only: in arguments, formulas, settings and section heads."""
_NUMBERS = frozenset({"DECIMAL", "SIZE", "QUANTITY"})
_SEQUENCE_ENDS = frozenset({"RBRACE", "MORE", "_RSQB", "_BAR", "_OR", "$END"})
_SEQUENCE_STARTS = {
    "LBRACE": "{", "LESS": "<", "_LSQB": "[", "_BAR": "|", "_OR": "or", "_EQUAL": "=", "_GIVE": "give", "_BODY": "body",
}  # fmt: skip


@dataclass(frozen=True)
class TokenRepair:
    """Repair of a syntax error at an unexpected token."""

    diagnostic: Diagnostic
    tokens: tuple[Token, ...] = ()
    """Tokens to insert before the unexpected token."""
    faithful: bool = True
    """Whether the resulting tree has the intended meaning."""
    skip: int = 0
    """Number of tokens to skip, including the unexpected one."""


def repair_token(
    source: Source, before: Token, ahead: Sequence[Token], accepted: AbstractSet[str]
) -> TokenRepair | None:
    """Return a repair for an unexpected token.

    Args:
        before: Last accepted token, or an empty token without a type.
        ahead: Unexpected token and all tokens after it, up to the end token.
        accepted: Types of tokens that the parser accepts instead.

    Returns:
        None if the mistake is not known.
    """
    kind, token = before.type, ahead[0]
    mistake = _Mistake(source, before, token)
    if "_STAR" in accepted and kind in {"RBRACE", "MORE"}:
        return mistake.missing_count(star=True)
    # In a formula, '*' is a product, and '(' is accepted after it.
    if kind == "_STAR" and "INTEGER" in accepted and "_LPAR" not in accepted and token.type not in _NUMBERS:
        return mistake.missing_count(star=False)
    if token.type in _ITEM_STARTS and "_DASH" in accepted and accepted.isdisjoint(_NO_SEQUENCE):
        return mistake.missing_hyphen()
    # A line with layers defines a block or a value.
    has_layers = before not in SETTINGS and any(other.type == "_DASH" for other in ahead)
    if kind == "KEY" and token.type == "_EQUAL" and not has_layers:
        return mistake.extra_equal()
    if {"WORD", "LBRACE"} <= accepted:
        return _repair_missing_item(mistake, kind, ahead)
    return None


def _repair_missing_item(mistake: _Mistake, kind: str, ahead: Sequence[Token]) -> TokenRepair | None:
    """Return a repair where a layer, a block or a repeat is missing."""
    token = ahead[0]
    if kind == "_DASH":
        more = list(takewhile(lambda other: other.type == "_DASH", ahead))
        if ahead[len(more)].type in _SEQUENCE_ENDS:
            return mistake.trailing_hyphens(more)
        if more:
            return mistake.more_hyphens(more)
    if token.type in _SEQUENCE_ENDS and (not kind or kind in _SEQUENCE_STARTS):
        return mistake.empty_sequence()
    return None


class _Mistake:
    """Mistake between the last accepted token and the unexpected one."""

    def __init__(self, source: Source, before: Token, token: Token) -> None:
        self.before, self.token = before, token
        self.here = token_span(source, token)
        self.last = token_span(source, before)
        self._source = source
        self.gap = Span(source, self.last.end, max(self.last.end, self.here.start))

    def _span(self, token: Token) -> Span:
        return token_span(self._source, token)

    def missing_hyphen(self) -> TokenRepair:
        # Replace the white space of a line break, but keep a comment between the layers.
        edit = Edit(self.gap if self.gap.text.isspace() else self.last.after, "-")
        insertion = Fix("insert the missing '-'", (edit,))
        # The keyword before braces, in other letters.
        lower = self.token.type == "LBRACE" and self.last.text.upper() == POINTWISE
        hint = "insert '-'; it may have been lost at a line break"
        if self.token.type == "LBRACE" and not self.gap.text:
            hint = "insert '-'; a parameter of a block is written $(c)"
        mistake = Diagnostic(
            "missing-hyphen",
            f"missing '-' before '{self.here.text}'",
            self.here.part(0, 0),
            label="expected '-' here",
            help=f"write {POINTWISE}{{…}}" if lower else hint,
            fixes=(Fix(f"write '{POINTWISE}'", (Edit(self.last, POINTWISE),)) if lower else insertion,),
        )
        return TokenRepair(mistake, (_virtual("_DASH", "-", self.last),))

    def trailing_hyphens(self, more: Sequence[Token]) -> TokenRepair:
        """Return a repair that removes all ``-`` at the end of a sequence."""
        hyphens = (self.last, *map(self._span, more))
        many = f"these {len(hyphens)} '-'" if more else "this '-'"
        mistake = Diagnostic(
            "trailing-hyphen",
            f"no layer follows {many}",
            self.last.to(hyphens[-1]),
            label="trailing '-'",
            help=f"remove {'them' if more else 'it'}, or add the missing layer",
            fixes=(Fix("remove the trailing '-'", tuple(Edit(hyphen, "") for hyphen in hyphens)),),
        )
        return TokenRepair(mistake, (_virtual("WORD", "", hyphens[-1].after),), skip=len(more))

    def more_hyphens(self, more: Sequence[Token]) -> TokenRepair:
        """Return a repair for several consecutive ``-`` between two layers."""
        hyphens = tuple(map(self._span, more))
        actual, title, label = "a second '-'", "remove the second '-'", "extra '-'"
        if len(more) > 1:
            actual, title = f"{len(more) + 1} consecutive '-'", f"remove {len(more)} of the '-'"
            label = f"{len(more)} extra '-'"
        mistake = Diagnostic(
            "unexpected-token",
            f"expected a layer, a block or '{{', got {actual}",
            hyphens[0].to(hyphens[-1]),
            label=label,
            help="remove the extra '-', or add the missing layers",
            # A layer may be missing instead, so the fix is not safe.
            fixes=(Fix(title, tuple(Edit(hyphen, "") for hyphen in hyphens), safe=False),),
        )
        return TokenRepair(mistake, skip=len(more))

    def extra_equal(self) -> TokenRepair:
        key = self.last.text
        blank = "" if self.here.source.text[self.here.end : self.here.end + 1].isspace() else " "
        edit = Edit(Span(self.here.source, self.gap.start, self.here.end), blank)
        mistake = Diagnostic(
            "unexpected-token",
            f"expected the value of '{key}', got '='",
            self.here,
            label="unexpected '='",
            help=f"write '{key} VALUE' without '='",
            fixes=(Fix("remove the '='", (edit,)),),
        )
        return TokenRepair(mistake, skip=1)

    def empty_sequence(self) -> TokenRepair:
        opener = _SEQUENCE_STARTS.get(self.before.type, "")
        brackets = opener in {"{", "<"} and self.token.type in {"RBRACE", "MORE"}
        subjects = {
            "[": "the branch",
            "|": "the shortcut",
            "or": "the alternative",
            "=": "the definition",
            "give": "the 'give' line",
        }
        subject = "the repeat" if brackets else subjects.get(opener, "the body")
        advice = "use 'id' for an identity shortcut" if opener in {"|", "or"} else "add a layer or a block"
        mistake = Diagnostic(
            "empty-sequence",
            f"{subject} is empty",
            self.last.to(self.here) if brackets else self.last,
            label="expected at least one layer or block" + ("" if brackets else " after this"),
            help=advice,
        )
        # An empty word lets parsing continue, but the tree would have a wrong item.
        return TokenRepair(mistake, (_virtual("WORD", "", self.last.after),), faithful=False)

    def missing_count(self, *, star: bool) -> TokenRepair:
        if star and re.fullmatch("[xX][1-9][0-9]{0,3}", self.here.text):
            count = self.here.text[1:]
            mistake = Diagnostic(
                "missing-count",
                f"'{self.here.text}' is not a repeat count",
                self.here,
                label=f"expected '*{count}'",
                help=f"write '*{count}'",
                fixes=(Fix(f"write '*{count}'", (Edit(self.here, f"*{count}"),)),),
            )
            return TokenRepair(
                mistake, (_virtual("_STAR", "*", self.last), _virtual("INTEGER", count, self.last)), skip=1
            )
        has_number = self.token.type == "INTEGER"
        fix = Fix("insert the missing '*'", (Edit(self.gap, "*"),))
        mistake = Diagnostic(
            "missing-count",
            "missing '*' before the repeat count" if has_number else "missing repeat count",
            self.here if has_number else self.last,
            label="expected '*' before this" if has_number else "expected a count after this",
            help="add the number of copies, e.g. '*2'",
            fixes=(fix,) if has_number else (),
        )
        tokens = (_virtual("_STAR", "*", self.last), _virtual("INTEGER", "1", self.last))
        if has_number:
            return TokenRepair(mistake, tokens[:1])
        return TokenRepair(mistake, tokens if star else tokens[1:])


def _virtual(kind: str, text: str, before: Span) -> Token:
    """Return a token that is not part of the source, at the end of a span."""
    line, column = before.source.position(before.end)
    return Token(kind, text, before.end, line, column, line, column, before.end)
