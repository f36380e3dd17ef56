"""Lexers for Pygments, over the compiler's own tokens: what they show is what the compiler reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, NamedTuple

from pygments.lexer import Lexer
from pygments.token import Whitespace, _TokenType, string_to_tokentype

from sewdsl.source import Source, Span
from sewdsl.syntax.highlight_tokens import TokenType, compact_tokens, tokens
from sewdsl.syntax.lexicon import VERSION


class TokenStyle(NamedTuple):
    """The names of one look.

    Attributes:
        pygments: The token of Pygments, without its ``Token.`` in front.
        scope: The scope by TextMate's conventions, without the language after it.
    """

    pygments: str
    scope: str


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
"""For Pygments here, and for the grammar that ``editors/textmate.py`` writes."""

_TOKENS = {kind: string_to_tokentype(look.pygments) for kind, look in LOOKS.items()}


def _pieces(text: str, read: Callable[[Source], list[tuple[TokenType, Span]]]) -> Iterator[tuple[int, _TokenType, str]]:
    """Yield every character of a text, in order: the tokens, and the white space between them."""
    end = 0
    for kind, span in read(Source("<text>", text)):
        if end < span.start:
            yield end, Whitespace, text[end : span.start]
        yield span.start, _TOKENS[kind], span.text
        end = span.end
    if end < len(text):
        yield end, Whitespace, text[end:]


class NetLexer(Lexer):
    """Files in the language."""

    name = "sewdsl"
    aliases: ClassVar[list[str]] = ["sewdsl", "net"]
    filenames: ClassVar[list[str]] = ["*.net"]

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, _TokenType, str]]:
        """Offset, token and text of each piece; the texts together are the whole, whatever it is."""
        return _pieces(text, tokens)

    @staticmethod
    def analyse_text(text: str) -> float:
        """Sure of a file that states the language's version, else 0."""
        return float(text.startswith(f"sewdsl {VERSION}"))


class CompactLexer(Lexer):
    """Compact strings, as papers print them."""

    name = "sewdsl compact"
    aliases: ClassVar[list[str]] = ["sewdsl-compact"]

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, _TokenType, str]]:
        """Likewise; newlines are white space."""
        return _pieces(text, compact_tokens)
