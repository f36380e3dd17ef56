"""The compact notation of arguments: ``32k3s1`` behind ``c``, ``c128s2`` in the parentheses of a block."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sewdsl.syntax.words import NUMBER

if TYPE_CHECKING:
    from sewdsl.ir.kind import Kind

_PIECE = re.compile(rf"([A-Za-z_]*)({NUMBER})")
_STARTS_LIKE_ARGUMENTS = re.compile(r"[A-Za-z]?[0-9]")

Value = int | float | tuple[int | float, int | float]
"""A number, or two as in ``3x5``; which of them an argument takes is what its kind says."""


@dataclass(frozen=True)
class CompactArgument:
    """A letter and its value, with their offsets in the text."""

    letter: str
    value: Value
    start: int
    end: int


class CompactError(Exception):
    """Raised where a text is not letters and numbers in turn.

    Attributes:
        start: Offset of what does not belong.
        end: Offset behind it.
    """

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.start, self.end = start, end


def split_arguments(text: str, start: int = 0) -> list[CompactArgument]:
    """Letters and numbers in turn, from an offset to the end: ``32k3s1`` is '' 32, k 3, s 1.

    Raises:
        CompactError: something else stands there.
    """
    found = []
    while start < len(text):
        match = _PIECE.match(text, start)
        if not match:
            rest = text[start:]
            raise CompactError(
                f"'{rest}' has no number" if rest.isalpha() else f"'{rest}' is not understood", start, len(text)
            )
        found.append(CompactArgument(match[1], _value(match[2]), match.start(), match.end()))
        start = match.end()
    return found


def _value(text: str) -> Value:
    height, *width = map(_number, text.split("x"))
    return (height, width[0]) if width else height


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def longest_symbol(text: str, symbols: Collection[str]) -> str | None:
    """The longest symbol that a word begins with and that arguments, or nothing, follow; None: no such."""
    longest = max(map(len, symbols), default=0)
    for length in range(min(len(text), longest), 0, -1):
        head, rest = text[:length], text[length:]
        if head in symbols and (not rest or _STARTS_LIKE_ARGUMENTS.match(rest)):
            return head
    return None


def is_complete(text: str, kind: type[Kind]) -> bool:
    """Whether a text behind a kind's name is made of its letters, each once, and has all that are required."""
    letters = kind.letters()
    required = [argument for argument in letters.values() if kind.model_fields[argument].is_required()]
    try:
        found = split_arguments(text)
    except CompactError:
        return False
    names = [letters.get(piece.letter) for piece in found]
    return None not in names and len(set(names)) == len(names) and set(required) <= set(names)
