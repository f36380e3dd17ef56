"""Compact arguments, ``32k3s1`` after ``c`` or ``c128s2`` in parentheses, and names with their ``$(…)`` filled in."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Collection
from operator import itemgetter
from typing import TYPE_CHECKING

from sewdsl.ir.printed_values import number_text
from sewdsl.light_dataclass import dataclass
from sewdsl.source import Span
from sewdsl.syntax.lexicon import NUMBER
from sewdsl.syntax.tree import Formula, Name, Word

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
        end: Offset after it.
    """

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.start, self.end = start, end


def split_arguments(text: str, start: int = 0) -> list[CompactArgument]:
    """Letters and numbers in turn, from an offset to the end: ``32k3s1`` is '' 32, k 3, s 1.

    Raises:
        CompactError: something else is there.
    """
    found = []
    while start < len(text):
        match = _PIECE.match(text, start)
        if not match:
            rest = text[start:]
            raise CompactError(
                f"'{rest}' has no number" if rest.isalpha() else f"'{rest}' is not understood", start, len(text)
            )
        height, *width = (float(number) if "." in number else int(number) for number in match[2].split("x"))
        value = (height, width[0]) if width else height
        found.append(CompactArgument(match[1], value, match.start(), match.end()))
        start = match.end()
    return found


def longest_symbol(text: str, symbols: Collection[str]) -> str | None:
    """The longest symbol that a word begins with and that arguments, or nothing, follow; None: no such."""
    longest = max(map(len, symbols), default=0)
    for length in range(min(len(text), longest), 0, -1):
        head, rest = text[:length], text[length:]
        if head in symbols and (not rest or _STARTS_LIKE_ARGUMENTS.match(rest)):
            return head
    return None


def is_complete(text: str, kind: type[Kind]) -> bool:
    """Whether a text after a kind's name is made of its letters, each once, and has all that are required."""
    letters = kind.letters()
    required = [argument for argument in letters.values() if kind.model_fields[argument].is_required()]
    try:
        found = split_arguments(text)
    except CompactError:
        return False
    names = [letters.get(piece.letter) for piece in found]
    return None not in names and len(set(names)) == len(names) and set(required) <= set(names)


@dataclass(frozen=True)
class FilledName:
    """A name's text without white space.

    Attributes:
        text: ``SEWBlock``, ``c32k3s1``.
        pieces: Where each part begins in ``text``, its span, and whether its characters are the user's own.
        gaps: Offsets in ``text`` at which the user wrote white space.
    """

    text: str
    pieces: tuple[tuple[int, Span, bool], ...]
    gaps: tuple[int, ...]
    span: Span

    def at(self, start: int, end: int) -> Span:
        """The characters that represent a part of the text."""
        first, last = self._piece(start), self._piece(max(start, end - 1))
        begin = first[1].start + (start - first[0] if first[2] else 0)
        stop = last[1].start + end - last[0] if last[2] else last[1].end
        return Span(self.span.source, begin, stop)

    def _piece(self, offset: int) -> tuple[int, Span, bool]:
        return self.pieces[bisect_right(self.pieces, offset, key=itemgetter(0)) - 1]


def fill_name(name: Name, evaluate: Callable[[Formula], float]) -> FilledName:
    """Put the values of the interpolations into a name.

    Raises:
        InvalidText: If an interpolation has no value.
    """
    text, pieces, gaps = "", [], []
    for part, spaced in zip(name.parts, name.spaced, strict=True):
        if spaced and text:
            gaps.append(len(text))
        written = isinstance(part, Word)
        pieces.append((len(text), part.span, written))
        text += part.text if isinstance(part, Word) else number_text(evaluate(part.formula))
    return FilledName(text, tuple(pieces), tuple(gaps), name.span)
