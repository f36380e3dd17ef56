"""Which bracket closes which, over a whole text, and what is wrong with them."""

from __future__ import annotations

from dataclasses import field
from itertools import zip_longest
from typing import TYPE_CHECKING

from sewdsl.diagnostics import Diagnostic, Edit, Fix
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import DEFAULT_LIMITS, Limits, raise_limit_help
from sewdsl.reporter import Reporter
from sewdsl.source import Source, Span
from sewdsl.syntax.lexicon import CLOSERS, OPENERS
from sewdsl.syntax.scanner import token_end, token_span, token_start

if TYPE_CHECKING:
    from lark import Token

_OPERATORS = frozenset({"_PLUS", "_DASH", "_STAR", "_SLASH"})
_OPENED_BY = {"RBRACE": "{", "MORE": "<", "_RSQB": "[", "_RPAR": "("}


@dataclass
class BracketPairs:
    """What the match found.

    Attributes:
        depth: How much each bracket token, by its offset, changes the nesting: 1, -1, or 0 where it pairs with none.
        broken: Offsets of tokens that keep their statement from being parsed.
    """

    depth: dict[int, int] = field(default_factory=dict)
    unclosed: set[int] = field(default_factory=set)
    broken: set[int] = field(default_factory=set)
    diagnostics: tuple[Diagnostic, ...] = ()


class _Matcher:
    """One walk over the tokens, with a stack of what is open."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self.source, self.limits = source, limits
        self.reporter = Reporter(limits)
        self.brackets = BracketPairs()
        self.open: list[Token] = []
        self.formulas = 0
        self.operators = 0
        self.too_deep = False
        self.mixed: list[tuple[Token, Token, str]] = []  # opener, closer, what kind the closer is as written
        self.left_over: set[str] = set()

    def take(self, token: Token, following: Token | None) -> None:
        """Goes on by one token; a closer of the wrong kind is turned into the right one once reported."""
        if token.type in OPENERS:
            self._opened(token)
        elif token.type in _OPERATORS and self.formulas:
            self._operator(token)
        elif token.type in CLOSERS:
            self._closed(token, counted=following is not None and following.type == "_STAR")

    def _operator(self, token: Token) -> None:
        """Counts the operators of one ``$(…)``: each may nest the tree by one level."""
        self.operators += 1
        if self.operators > self.limits.nesting:
            self.brackets.broken.add(token_start(token))
            self._report(
                "nesting-too-deep",
                f"more operators than the limit of {self.limits.nesting} in one '$(…)'",
                self.open[-1],
                label="this formula",
                help=raise_limit_help("nesting"),
            )

    def _opened(self, token: Token) -> None:
        self.open.append(token)
        if token.type == "_OPEN":
            self.formulas += 1
            self.operators = 0
        self.brackets.depth[token_start(token)] = 1
        depth, limit = len(self.open), self.limits.nesting
        if depth > limit:
            self.brackets.broken.add(token_start(token))
            if not self.too_deep:
                self.too_deep = True
                self._report(
                    "nesting-too-deep",
                    f"brackets nested {self._deepest(token)} deep are over the limit of {limit}",
                    token,
                    label=f"level {depth}",
                    help=raise_limit_help("nesting"),
                )

    def _deepest(self, token: Token) -> int:
        """How deep it goes from here if the openers that follow at once are counted too."""
        text, offset = self.source.text, token_end(token)
        run = len(text[offset:]) - len(text[offset:].lstrip("{<([$ \n"))
        return len(self.open) + sum(text.count(c, offset, offset + run) for c in "{<([")

    def _closed(self, token: Token, *, counted: bool) -> None:
        nearby = self.open[-self.limits.nesting :]
        if any(OPENERS[opener.type] == token.type for opener in nearby):
            while OPENERS[self.open[-1].type] != token.type:
                self._unclosed(self._pop())
            self._pop()
            self.brackets.depth[token_start(token)] = -1
        elif self.open and self._confused(self.open[-1], token, counted=counted):
            self.brackets.depth[token_start(token)] = -1
            opener = self._pop()
            if not self.too_deep:
                self.mixed.append((opener, token, token.type))
            token.type = OPENERS[opener.type]
        else:
            self.brackets.broken.add(token_start(token))
            self.left_over.add(token.type)
            self._report(
                "unmatched-bracket",
                f"'{CLOSERS[token.type]}' closes nothing",
                token,
                label="no such bracket is open here",
                help=f"remove it, or open it with '{_OPENED_BY[token.type]}' before",
            )

    def _confused(self, opener: Token, closer: Token, *, counted: bool) -> bool:
        """Whether a closer of the wrong kind is intended for an opener, or just too much."""
        if opener.type not in {"LBRACE", "LESS"}:
            return not counted
        return counted or closer.type in {"RBRACE", "MORE"}

    def _pop(self) -> Token:
        opener = self.open.pop()
        self.formulas -= opener.type == "_OPEN"
        return opener

    def _report_mixed(self, opener: Token, closer: Token, closer_type: str) -> None:
        """The fix is safe unless the right closer is left over further down: then this one may be too much."""
        right = CLOSERS[closer.type]
        span = self._span(closer)
        self.reporter.report(
            "unmatched-bracket",
            f"'{_shown(opener)}' in column {self._span(opener).column} is closed by '{CLOSERS[closer_type]}'",
            span,
            label=f"expected '{right}'",
            help=f"close it with '{right}'",
            fixes=(Fix(f"write '{right}'", (Edit(span, right),), safe=closer.type not in self.left_over),),
        )

    def _unclosed(self, opener: Token) -> None:
        self.brackets.unclosed.add(token_start(opener))
        self.brackets.broken.add(token_start(opener))
        closer = CLOSERS[OPENERS[opener.type]]
        self._report(
            "unclosed-bracket",
            f"'{_shown(opener)}' is not closed",
            opener,
            label="opens here",
            help=f"close it with '{closer}'",
        )

    def finish(self) -> BracketPairs:
        """The result, once every token is taken."""
        for opener in self.open:
            self._unclosed(opener)
        for opener, closer, closer_type in self.mixed:
            self._report_mixed(opener, closer, closer_type)
        self.brackets.diagnostics = tuple(self.reporter.found)
        return self.brackets

    def _report(self, code: str, message: str, token: Token, *, label: str, help: str) -> None:
        if self.too_deep and code != "nesting-too-deep":
            return
        self.reporter.report(code, message, self._span(token), label=label, help=help)

    def _span(self, token: Token) -> Span:
        return token_span(self.source, token)


def match_brackets(source: Source, tokens: list[Token], limits: Limits = DEFAULT_LIMITS) -> BracketPairs:
    """Pairs the brackets of a text; says which have no partner, are of mixed kinds, or are nested too deep."""
    matcher = _Matcher(source, limits)
    for token, following in zip_longest(tokens, tokens[1:]):
        matcher.take(token, following)
    return matcher.finish()


def _shown(opener: Token) -> str:
    return {"LBRACE": "{", "LESS": "<", "_LSQB": "[", "_LPAR": "(", "_OPEN": "$("}[opener.type]
