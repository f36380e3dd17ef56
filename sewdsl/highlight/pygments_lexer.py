"""Pygments lexers, based on the tokens of the compiler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, NamedTuple

from pygments.lexer import Lexer
from pygments.token import Whitespace, _TokenType, string_to_tokentype

from sewdsl.source import Source, Span
from sewdsl.syntax.highlight_tokens import TokenType, compact_tokens, tokens
from sewdsl.syntax.lexicon import VERSION


class TokenStyle(NamedTuple):
    """Names of a token type in highlighters."""

    pygments: str
    """Token type of Pygments, without the prefix ``Token.``."""
    scope: str
    """TextMate scope, without the language suffix."""


LOOKS: dict[TokenType, TokenStyle] = {
    "argument": TokenStyle("Name.Variable", "variable.parameter"),
    "bad": TokenStyle("Error", "invalid.illegal"),
    "block": TokenStyle("Name.Class", "entity.name.type.block"),
    "bracket": TokenStyle("Punctuation", "punctuation.section.brackets"),
    "comment": TokenStyle("Comment.Single", "comment.line.number-sign"),
    "formula": TokenStyle("Literal.String.Interpol", "punctuation.section.embedded"),
    "key": TokenStyle("Name.Attribute", "keyword.other.definition"),
    "keyword": TokenStyle("Keyword", "keyword.control"),
    "name": TokenStyle("Name.Function", "entity.name.function"),
    "number": TokenStyle("Literal.Number", "constant.numeric"),
    "operator": TokenStyle("Operator", "keyword.operator"),
    "separator": TokenStyle("Punctuation", "punctuation.separator"),
    "string": TokenStyle("Literal.String.Double", "string.quoted.double"),
    "unit": TokenStyle("Literal.Number", "keyword.other.unit"),
    "value": TokenStyle("Name.Constant", "support.constant.property-value"),
}
"""Names of each token type, also used by ``editors/textmate.py`` for the TextMate grammar."""

_TOKENS = {kind: string_to_tokentype(look.pygments) for kind, look in LOOKS.items()}


def _pieces(text: str, read: Callable[[Source], list[tuple[TokenType, Span]]]) -> Iterator[tuple[int, _TokenType, str]]:
    """Yield offset, token type and text of all pieces of a text, including white space."""
    # Pygments requires that the pieces cover the text.
    end = 0
    for kind, span in read(Source("<text>", text)):
        if end < span.start:
            yield end, Whitespace, text[end : span.start]
        yield span.start, _TOKENS[kind], span.text
        end = span.end
    if end < len(text):
        yield end, Whitespace, text[end:]


class NetLexer(Lexer):
    """Lexer of ``.net`` files."""

    name = "sewdsl"
    aliases: ClassVar[list[str]] = ["sewdsl", "net"]
    filenames: ClassVar[list[str]] = ["*.net"]

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, _TokenType, str]]:
        """Yield offset, token type and text of all pieces, which together are the text."""
        return _pieces(text, tokens)

    @staticmethod
    def analyse_text(text: str) -> float:
        """Return 1 for a text that starts with the version of the language, else 0."""
        return float(text.startswith(f"sewdsl {VERSION}"))


class CompactLexer(Lexer):
    """Lexer of layer strings."""

    name = "sewdsl compact"
    aliases: ClassVar[list[str]] = ["sewdsl-compact"]

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, _TokenType, str]]:
        """Yield offset, token type and text of all pieces. Newlines are white space."""
        return _pieces(text, compact_tokens)
