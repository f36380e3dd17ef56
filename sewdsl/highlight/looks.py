"""How each type of token looks, in the vocabulary of Pygments and in that of TextMate grammars."""

from __future__ import annotations

from typing import NamedTuple

from sewdsl.syntax.tokens import TokenType


class Look(NamedTuple):
    """The names of one look.

    Attributes:
        pygments: The token of Pygments, without its ``Token.`` in front.
        scope: The scope by TextMate's conventions, without the language behind it.
    """

    pygments: str
    scope: str


LOOKS: dict[TokenType, Look] = {
    "argument": Look("Name.Variable", "variable.parameter"),
    "bad": Look("Error", "invalid.illegal"),
    "block": Look("Name.Class", "entity.name.type.block"),
    "bracket": Look("Punctuation", "punctuation.section.brackets"),
    "comment": Look("Comment.Single", "comment.line.number-sign"),
    "formula": Look("Literal.String.Interpol", "punctuation.section.embedded"),
    "key": Look("Name.Attribute", "keyword.other.definition"),
    "keyword": Look("Keyword", "keyword.control"),
    "name": Look("Name.Function", "entity.name.function"),
    "number": Look("Literal.Number", "constant.numeric"),
    "operator": Look("Operator", "keyword.operator"),
    "separator": Look("Punctuation", "punctuation.separator"),
    "string": Look("Literal.String.Double", "string.quoted.double"),
    "unit": Look("Literal.Number", "keyword.other.unit"),
    "value": Look("Name.Constant", "support.constant.property-value"),
}
