"""Classification of tokens for syntax highlighting. It accepts any text, also with errors."""

from __future__ import annotations

import re
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Literal

from sewdsl.garbage import put_off
from sewdsl.source import Source, Span
from sewdsl.syntax.brackets import match_brackets
from sewdsl.syntax.lexicon import ARGUMENTS, EQUATION_KEYWORDS, HEAD, LETTERED, NUMBER, PER
from sewdsl.syntax.scanner import scan, token_end, token_start
from sewdsl.syntax.statements import mark_alternatives, statements

if TYPE_CHECKING:
    from lark import Token

    from sewdsl.syntax.statements import Lines

TokenType = Literal[
    "argument",
    "bad",
    "block",
    "bracket",
    "comment",
    "formula",
    "key",
    "keyword",
    "name",
    "number",
    "operator",
    "separator",
    "string",
    "unit",
    "value",
]
"""Type of a piece of text:

- ``keyword``: a statement's first word, ``on`` after a section's name, ``or`` in a shortcut, ``per`` in an equation;
  ``key``: the name of a setting or of an expected figure.
- ``name``: a layer, a neuron, a join, an optimizer, a function of an equation; ``block``: a name of several words, or
  one that is being defined.
- ``argument``: the name of an argument, letters of compact ones, a block's parameter or operand, a name in an equation;
  ``value``: any other word, and a dataset's or a code's name with its hyphens.
- ``number``, ``unit`` (the M of 0.13M), ``string``, ``comment``.
- ``operator``, ``separator`` (a comma), ``bracket``, ``formula`` (the brackets of ``$(…)``).
- ``bad``: characters that are not part of the language.
"""
Piece = tuple[TokenType, int, int]
"""Token type with the start and end offsets of the piece."""
_Context = Literal["expression", "values", "arguments", "parameters", "block name", "place", "equation"]

_KEYWORDS = frozenset(
    {"SECTION", "_VERSION", "_LET", "_GIVE", "_BODY", "_BLOCK", "_NEURON", "_USE", "_EXPECT", "_CLAIM", "_ALLOW", "_ON"}
    | {"_PART", "_OR", "_LEARN", "_STATE", "_PER"}
)
_PLAIN: dict[str, TokenType] = {
    **dict.fromkeys(_KEYWORDS, "keyword"),
    **dict.fromkeys(("STRING", "UNTERMINATED"), "string"),
    **dict.fromkeys(("INTEGER", "DECIMAL", "SIZE", "LENGTHS"), "number"),
    **dict.fromkeys(("LBRACE", "RBRACE", "LESS", "MORE", "_LSQB", "_RSQB", "_LPAR", "_RPAR"), "bracket"),
    "COMMENT": "comment",
    "KEY": "key",
    "_MAP": "name",
    "PATTERN": "value",
    "_OPEN": "formula",
    "_COMMA": "separator",
    "BAD": "bad",
}
_OPENS: dict[str, _Context] = {
    "_OPEN": "parameters",
    "_LPAR": "arguments",
    "_LSQB": "expression",
    "LBRACE": "expression",
    "LESS": "expression",
}
_CLOSES = {"_OPEN": ")", "_LPAR": ")", "_LSQB": "]", "LBRACE": "}", "LESS": ">\u27e9"}
_BEGINS: dict[str, _Context] = {
    "_BODY": "expression",
    "_GIVE": "expression",
    "_LET": "block name",
    "_BLOCK": "block name",
    "_PART": "block name",
    "_NEURON": "block name",
    "_ALLOW": "place",
    "SECTION": "place",
}
_IN_PLACE = frozenset({"WORD", "INTEGER", "DECIMAL", "QUANTITY", "SIZE"})

_NAME = re.compile(rf"({HEAD})({ARGUMENTS})")
_NAME_BEFORE_FORMULA = re.compile(rf"({HEAD})({ARGUMENTS}[a-z]?)")
_LETTERED = re.compile(LETTERED)
_LETTERED_OPEN = re.compile(rf"{LETTERED}[a-z]?")
_PART = re.compile(rf"([a-z])|{NUMBER}")


class _Walk:
    """Walk over the tokens of a statement, an entry of a section, or a layer string."""

    def __init__(self, source: Source, tokens: list[Token], context: _Context) -> None:
        self.text = source.text
        self.tokens = tokens
        self.open: list[tuple[str, _Context]] = [("", context)]
        self.pieces: list[Piece] = []
        self.pointwise = 0  # depth of a MAP whose brace follows

    @property
    def context(self) -> _Context:
        """Context of the innermost open bracket, or of the statement."""
        return self.open[-1][1]

    def run(self) -> list[Piece]:
        """Return the pieces of all tokens."""
        index = 0
        while index < len(self.tokens):
            index += self._take(index)
        return self.pieces

    def _take(self, index: int) -> int:
        """Process the token at an index, and return the number of processed tokens."""
        token = self.tokens[index]
        if token.type == "WORD":
            return self._word(index)
        if self.context == "place" and self._in_place(index):
            self._add(token, "value")
        elif token.type == "QUANTITY":
            # Themes colour a unit differently from its number.
            unit = token_start(token) + len(token.rstrip("%kKMGTPiBmunpJx"))
            self.pieces += [("number", token_start(token), unit), ("unit", unit, token_end(token))]
        elif len(self.open) > 1 and token in _CLOSES[self.open[-1][0]]:
            opener, _ = self.open.pop()
            self._add(token, "formula" if opener == "_OPEN" else "bracket")
        else:
            self._add(token, _PLAIN.get(token.type, "operator"))
            self._enter(token)
        return 1

    def _add(self, token: Token, kind: TokenType) -> None:
        self.pieces.append((kind, token_start(token), token_end(token)))

    def _enter(self, token: Token) -> None:
        """Update the context after a token."""
        opened = _OPENS.get(token.type)
        inner = opened == "arguments" and self.context == "parameters"
        in_equation = self.context == "equation" and token.type != "_OPEN"
        if opened and (in_equation or (token.type == "LBRACE" and self.pointwise == len(self.open))):
            opened = "equation"
            self.pointwise = 0
        elif token.type == "_MAP":
            self.pointwise = len(self.open)
        if inner or (token.type in {"_LPAR", "_LSQB"} and self.context == "block name"):
            opened = "parameters"
        if opened:
            self.open.append((token.type, opened))
        elif token.type == "_EQUAL" and self.context == "block name":
            self.open[-1] = ("", "expression")

    def _in_place(self, index: int) -> bool:
        """Return whether a token is part of a hyphenated name such as ``cifar10-dvs``."""
        if self.tokens[index].type == "_DASH":
            return self._type(index + 1) in _IN_PLACE and self._touched(index)
        return self.tokens[index].type in _IN_PLACE

    def _type(self, index: int) -> str:
        """Return the type of the token at an index, or an empty string after the end."""
        return self.tokens[index].type if index < len(self.tokens) else ""

    def _touched(self, index: int) -> bool:
        """Return whether a token directly precedes the next one, without white space."""
        return token_end(self.tokens[index]) == token_start(self.tokens[index + 1])

    def _word(self, index: int) -> int:
        """Process a word and the following words of the name."""
        token = self.tokens[index]
        simple: dict[str, TokenType] = {"parameters": "argument", "place": "value"}
        if self.context == "equation":
            called: TokenType = "name" if self._type(index + 1) == "_LPAR" else "argument"
            self._add(token, "keyword" if token in {*EQUATION_KEYWORDS, PER} else called)
        elif self._follows_formula(index):
            if _LETTERED_OPEN.fullmatch(token):
                self.pieces += _parts(token, token_start(token))
            else:
                self._add(token, "name")
        elif self.context in simple:
            self._add(token, simple[self.context])
        elif self.context == "arguments" and self._type(index + 1) == "_EQUAL":
            self._add(token, "argument")
        elif self.context == "block name" or (self.context != "values" and self._type(index + 1) == "WORD"):
            return self._words(index)
        else:
            self.pieces += self._single(index)
        return 1

    def _words(self, index: int) -> int:
        """Process a name of several words, which is always a block. A line break splits it into two pieces."""
        following = range(index, len(self.tokens))
        stop = next((i for i in following if self.tokens[i].type != "WORD"), len(self.tokens))
        words = self.tokens[index:stop]
        begin = token_start(words[0])
        for word, after in zip_longest(words, words[1:]):
            if after is None or set(self.text[token_end(word) : token_start(after)]) & {"\r", "\n"}:
                self.pieces.append(("block", begin, token_end(word)))
                begin = token_start(after) if after else token_end(word)
        return len(words)

    def _single(self, index: int) -> list[Piece]:
        """Return the pieces of a single word: a name, compact arguments or a value."""
        token = self.tokens[index]
        continues = self._type(index + 1) == "_OPEN" and self._touched(index)
        if self.context == "arguments" and (_LETTERED_OPEN if continues else _LETTERED).fullmatch(token):
            return _parts(token, token_start(token))
        called = self._type(index + 1) in {"_LPAR", "_LSQB"}
        if self.context == "expression" or called or token[0].isupper():
            return _split_name(token, token_start(token), continues=continues)
        return [("value", token_start(token), token_end(token))]

    def _follows_formula(self, index: int) -> bool:
        """Return whether a word directly follows a ``$(…)``, as ``k3`` does in ``c$(c)k3``."""
        return (
            bool(index)
            and self.tokens[index - 1] == ")"
            and self.pieces[-1][0] == "formula"
            and self._touched(index - 1)
        )


def _split_name(text: str, offset: int, *, continues: bool) -> list[Piece]:
    """Split a name into its head and compact arguments. It can end with a letter if a ``$(…)`` continues it."""
    match = (_NAME_BEFORE_FORMULA if continues else _NAME).fullmatch(text)
    if not match:
        return [("name", offset, offset + len(text))]
    return [("name", offset, offset + match.end(1)), *_parts(match[2], offset + match.start(2))]


def _parts(text: str, offset: int) -> list[Piece]:
    return [
        ("argument" if match[1] else "number", offset + match.start(), offset + match.end())
        for match in _PART.finditer(text)
    ]


def _statement(source: Source, lines: Lines) -> list[Piece]:
    first, context = lines.tokens[0], _BEGINS.get(lines.tokens[0].type, "values")
    pieces: list[Piece] = []
    rest = lines.tokens
    if first.type in {"_EXPECT", "_CLAIM"} and len(rest) > 1 and rest[1].type == "WORD":
        pieces = [("keyword", token_start(first), token_end(first)), ("key", token_start(rest[1]), token_end(rest[1]))]
        rest = rest[2:]
    # statements() marks 'or' only in the head of a statement and in blocks.
    for tokens in lines.entries:
        mark_alternatives(tokens)
    entries = (
        _Walk(source, tokens, "equation" if lines.neuron else _BEGINS.get(tokens[0].type, "values")).run()
        for tokens in lines.entries
    )
    return [*pieces, *_Walk(source, rest, context).run(), *chain.from_iterable(entries)]


def _ordered(source: Source, pieces: list[Piece], all_tokens: list[Token]) -> list[tuple[TokenType, Span]]:
    comments: list[Piece] = [
        ("comment", token_start(token), token_end(token)) for token in all_tokens if token.type == "COMMENT"
    ]
    return [(kind, Span(source, a, b)) for kind, a, b in sorted([*pieces, *comments], key=lambda piece: piece[1])]


@put_off()
def tokens(source: Source) -> list[tuple[TokenType, Span]]:
    """Return the highlighted pieces of a ``.net`` file in order. Names such as ``c32k3s1`` have several pieces."""
    all_tokens = scan(source)
    lines = statements(all_tokens, match_brackets(source, all_tokens))
    return _ordered(source, [piece for statement in lines for piece in _statement(source, statement)], all_tokens)


@put_off()
def compact_tokens(source: Source) -> list[tuple[TokenType, Span]]:
    """Return the highlighted pieces of a layer string, in which newlines are white space."""
    all_tokens = scan(source)
    visible = [token for token in all_tokens if token.type not in {"COMMENT", "NEWLINE"}]
    mark_alternatives(visible)
    return _ordered(source, _Walk(source, visible, "expression").run(), all_tokens)
