"""Drives Lark's parser over the tokens of one statement, mending what can be mended."""

from __future__ import annotations

from typing import Any

from lark import Token, UnexpectedToken

from sewdsl.diagnostics import Diagnostics
from sewdsl.source import Source, Span
from sewdsl.syntax.builder import Builder
from sewdsl.syntax.expectation import report_unexpected
from sewdsl.syntax.limits import Limits
from sewdsl.syntax.repair import repair
from sewdsl.syntax.scanner import end, language
from sewdsl.syntax.tree import Statement


class StatementParser:
    """Parses the statements of one source, each by itself."""

    def __init__(self, source: Source, diagnostics: Diagnostics, limits: Limits) -> None:
        self.source, self.diagnostics = source, diagnostics
        self.builder = Builder(source, diagnostics, limits)

    def parse(self, tokens: list[Token], rule: str) -> Statement | None:
        """The tree of a statement's tokens; None, with something reported, if they are none of that rule."""
        parser = language().parse_interactive(start=rule)
        before: Token | None = None
        faithful = True
        result: Any = None
        for token in [*tokens, self._end(tokens)]:
            try:
                result = parser.feed_token(token)
            except UnexpectedToken:
                wanted = parser.choices()
                mended = repair(self.source, before, token, wanted, self.diagnostics)
                try:
                    for missing in mended.tokens if mended else ():
                        parser.feed_token(missing)
                    result = parser.feed_token(token)
                except UnexpectedToken:
                    if mended is None:
                        report_unexpected(self.source, tokens, before, token, wanted, self.diagnostics)
                    return None
                faithful = faithful and mended is not None and mended.faithful
            before = token
        statement: Statement | None = self.builder.build(result) if faithful else None
        return statement

    def _end(self, tokens: list[Token]) -> Token:
        """The token behind the last."""
        place = end(tokens[-1]) if tokens else len(self.source.text)
        span = Span(self.source, place, place)
        return Token("$END", "", place, span.line, span.column, span.line, span.column, place)
