"""Matching of brackets over a source, with diagnostics for unmatched and deeply nested ones."""

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
_SHOWN = {"LBRACE": "{", "LESS": "<", "_LSQB": "[", "_OPEN": "$(", "_LPAR": "("}
_OPENED_BY = {OPENERS[opener]: text for opener, text in _SHOWN.items()}


@dataclass
class BracketPairs:
    """Result of bracket matching."""

    depth: dict[int, int] = field(default_factory=dict)
    """Change of the nesting depth, 1 or -1, by the offset of the bracket. Unmatched closing ones are missing."""
    unclosed: set[int] = field(default_factory=set)
    """Offsets of opening brackets that are not closed."""
    broken: set[int] = field(default_factory=set)
    """Offsets of tokens that prevent parsing of their statement."""
    diagnostics: tuple[Diagnostic, ...] = ()


class _Matcher:
    """Bracket matcher with a stack of open brackets."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self.source, self.limits = source, limits
        self.reporter = Reporter(limits)
        self.brackets = BracketPairs()
        self.open: list[Token] = []
        self.formulas = 0  # number of open '$('
        self.operators = 0
        self.too_deep = False
        self.mixed: list[tuple[Token, Token, str]] = []  # opener, closer, type of the closer as written
        self.unmatched: set[str] = set()  # types of closing brackets

    def take(self, token: Token, following: Token | None) -> None:
        """Process a token. A closing bracket of the wrong type gets the right type."""
        if token.type in OPENERS:
            self._opened(token)
        elif token.type in _OPERATORS and self.formulas:
            self._operator(token)
        elif token.type in CLOSERS:
            self._closed(token, counted=following is not None and following.type == "_STAR")

    def _operator(self, token: Token) -> None:
        # Each operator can nest the syntax tree by one level, and later stages recurse over the tree.
        self.operators += 1
        if self.operators > self.limits.nesting:
            self.brackets.broken.add(token_start(token))
            self._report(
                "nesting-too-deep",
                f"the formula exceeds the limit of {self.limits.nesting} operators",
                self.open[-1],
                label="start of the formula",
                help=raise_limit_help("nesting"),
            )

    def _opened(self, token: Token) -> None:
        self.open.append(token)
        if token.type == "_OPEN":
            self.formulas += 1
            self.operators = 0
        self.brackets.depth[token_start(token)] = 1
        depth, limit = len(self.open), self.limits.nesting
        # Later stages recurse over brackets, so the limit also bounds their stack.
        if depth > limit:
            self.brackets.broken.add(token_start(token))
            if not self.too_deep:
                self.too_deep = True
                self._report(
                    "nesting-too-deep",
                    f"brackets nested {self._deepest(token)} deep exceed the limit of {limit}",
                    token,
                    label=f"level {depth}",
                    help=raise_limit_help("nesting"),
                )

    def _deepest(self, token: Token) -> int:
        """Return the nesting depth after the opening brackets that directly follow a token."""
        text, offset = self.source.text, token_end(token)
        run = len(text[offset:]) - len(text[offset:].lstrip("{<([$ \n"))
        return len(self.open) + sum(text.count(c, offset, offset + run) for c in "{<([")

    def _closed(self, token: Token, *, counted: bool) -> None:
        # Searching only within the nesting limit keeps the time linear.
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
            self.unmatched.add(token.type)
            self._report(
                "unmatched-bracket",
                f"unmatched '{CLOSERS[token.type]}'",
                token,
                label=f"no open '{_OPENED_BY[token.type]}'",
                help=f"remove it, or add '{_OPENED_BY[token.type]}' before it",
            )

    def _confused(self, opener: Token, closer: Token, *, counted: bool) -> bool:
        """Return whether a wrong closing bracket, before a ``*`` if counted, probably belongs to an opening one."""
        if opener.type not in {"LBRACE", "LESS"}:
            return not counted
        return counted or closer.type in {"RBRACE", "MORE"}

    def _pop(self) -> Token:
        opener = self.open.pop()
        self.formulas -= opener.type == "_OPEN"
        return opener

    def _report_mixed(self, opener: Token, closer: Token, closer_type: str) -> None:
        right = CLOSERS[closer.type]
        span = self._span(closer)
        self.reporter.report(
            "unmatched-bracket",
            f"'{CLOSERS[closer_type]}' does not match '{_SHOWN[opener.type]}' in column {self._span(opener).column}",
            span,
            label=f"expected '{right}'",
            help=f"replace it with '{right}'",
            # If the right bracket is unmatched further down, this one may be superfluous instead.
            fixes=(Fix(f"write '{right}'", (Edit(span, right),), safe=closer.type not in self.unmatched),),
        )

    def _unclosed(self, opener: Token) -> None:
        self.brackets.unclosed.add(token_start(opener))
        self.brackets.broken.add(token_start(opener))
        closer = CLOSERS[OPENERS[opener.type]]
        self._report(
            "unclosed-bracket",
            f"unclosed '{_SHOWN[opener.type]}'",
            opener,
            label="opened here",
            help=f"add the closing '{closer}'",
        )

    def finish(self) -> BracketPairs:
        """Report the brackets that are still open, and return the result."""
        for opener in self.open:
            self._unclosed(opener)
        for opener, closer, closer_type in self.mixed:
            self._report_mixed(opener, closer, closer_type)
        self.brackets.diagnostics = tuple(self.reporter.diagnostics)
        return self.brackets

    def _report(self, code: str, message: str, token: Token, *, label: str, help: str) -> None:
        # Brackets beyond the limit are not tracked reliably: do not report consequences.
        if self.too_deep and code != "nesting-too-deep":
            return
        self.reporter.report(code, message, self._span(token), label=label, help=help)

    def _span(self, token: Token) -> Span:
        return token_span(self.source, token)


def match_brackets(source: Source, tokens: list[Token], limits: Limits = DEFAULT_LIMITS) -> BracketPairs:
    """Match the brackets of a source, and report unmatched, mixed and deeply nested ones."""
    matcher = _Matcher(source, limits)
    for token, following in zip_longest(tokens, tokens[1:]):
        matcher.take(token, following)
    return matcher.finish()
