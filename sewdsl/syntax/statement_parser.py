"""Drives Lark's parser over the tokens of one statement, fixing what can be fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lark import Token, UnexpectedToken

from sewdsl.source import Span
from sewdsl.syntax.repair import TokenRepair, repair_token
from sewdsl.syntax.scanner import NET_LANGUAGE, Language, token_end
from sewdsl.syntax.scanner import parser as language_parser
from sewdsl.syntax.tree import Statement
from sewdsl.syntax.tree_builder import TreeBuilder
from sewdsl.syntax.unexpected_token import ParseFailure, describe_unexpected

if TYPE_CHECKING:
    from lark.parsers.lalr_interactive_parser import InteractiveParser

_MAX_REPORTS = 1000
"""More statements than this that fit nothing are no text of this language; the rest goes unreported."""


class StatementParser:
    """Parses the statements of one source, each by itself.

    Attributes:
        builder: Makes our tree of Lark's; what is wrong is reported where it reports too.
        language: What the statements are written in.
    """

    def __init__(self, builder: TreeBuilder, language: Language = NET_LANGUAGE) -> None:
        self.builder, self.language = builder, language
        self.source, self.reporter = builder.source, builder.reporter
        self.reports = 0

    def parse(self, tokens: list[Token], rule: str) -> Statement | None:
        """The tree of a statement's tokens; None, with something reported, if they do not follow the rule."""
        parser = language_parser(self.language).parse_interactive(start=rule)
        before: Token | None = None
        faithful = True
        result: Any = None
        stream, passed = [*tokens, self._end(tokens)], 0
        for at, token in enumerate(stream):
            if at < passed:
                continue
            try:
                result = parser.feed_token(token)
            except UnexpectedToken:
                accepted = self._accepted(parser)
                mended = repair_token(self.source, before, stream[at:], accepted)
                if mended is None:
                    self._report(ParseFailure(self.source, tokens, rule, before, token, accepted))
                    return None
                self.reporter.add(mended.diagnostic)
                try:
                    result = _go_on(parser, mended, token)
                except UnexpectedToken:
                    return None
                faithful = faithful and mended.faithful
                passed = at + mended.skip
            before = stream[max(at, passed - 1)]
        statement: Statement | None = self.builder.build(result) if faithful else None
        return statement

    def _accepted(self, parser: InteractiveParser) -> set[str]:
        """Kinds of tokens that the parser would take; once too much is wrong, none."""
        self.reports += 1
        return cast("set[str]", parser.accepts()) if self.reports <= _MAX_REPORTS else set()  # type: ignore[no-untyped-call]

    def _report(self, situation: ParseFailure) -> None:
        if self.reports <= _MAX_REPORTS:
            self.reporter.add(describe_unexpected(situation))

    def _end(self, tokens: list[Token]) -> Token:
        """The token after the last."""
        place = token_end(tokens[-1]) if tokens else len(self.source.text)
        span = Span(self.source, place, place)
        return Token("$END", "", place, span.line, span.column, span.line, span.column, place)


def _go_on(parser: InteractiveParser, mended: TokenRepair, token: Token) -> Any:
    """Feeds what is put in for what is missing, then the token itself unless that was too much."""
    for missing in mended.tokens:
        parser.feed_token(missing)
    return None if mended.skip else parser.feed_token(token)
