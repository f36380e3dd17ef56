"""How each type of token looks, in the vocabulary of Pygments and in that of TextMate grammars."""

from __future__ import annotations

from typing import NamedTuple

from sewdsl.syntax.highlight_tokens import TokenType


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
