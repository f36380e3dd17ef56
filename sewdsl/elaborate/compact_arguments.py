"""Compact arguments, e.g. ``32k3s1`` after ``c`` or ``c128s2`` in parentheses, and evaluation of names."""

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
"""Number, or two numbers as in ``3x5``."""


@dataclass(frozen=True)
class CompactArgument:
    """Letter and value of an argument, with their offsets in the text."""

    letter: str
    value: Value
    start: int
    end: int


class CompactError(Exception):
    """Error for a text that does not alternate between letters and numbers, from the offset ``start`` to ``end``."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.start, self.end = start, end


def split_arguments(text: str, start: int = 0) -> list[CompactArgument]:
    """Split compact arguments from an offset on, ``32k3s1`` into '' 32, k 3, s 1, or raise CompactError."""
    arguments = []
    while start < len(text):
        match = _PIECE.match(text, start)
        if not match:
            rest = text[start:]
            raise CompactError(
                f"'{rest}' has no number" if rest.isalpha() else f"cannot read '{rest}'", start, len(text)
            )
        height, *width = (float(digits) if "." in digits else int(digits) for digits in match[2].split("x"))
        value = (height, width[0]) if width else height
        arguments.append(CompactArgument(match[1], value, match.start(), match.end()))
        start = match.end()
    return arguments


def longest_symbol(text: str, symbols: Collection[str]) -> str | None:
    """Return the longest symbol at the start of a word, followed by arguments or nothing, if any."""
    longest = max(map(len, symbols), default=0)
    for length in range(min(len(text), longest), 0, -1):
        head, rest = text[:length], text[length:]
        if head in symbols and (not rest or _STARTS_LIKE_ARGUMENTS.match(rest)):
            return head
    return None


def is_complete(text: str, kind: type[Kind]) -> bool:
    """Return whether a text after the name of a kind has all required letters, and each letter at most once."""
    letters = kind.letters()
    required = [argument for argument in letters.values() if kind.model_fields[argument].is_required()]
    try:
        pieces = split_arguments(text)
    except CompactError:
        return False
    names = [letters.get(piece.letter) for piece in pieces]
    return None not in names and len(set(names)) == len(names) and set(required) <= set(names)


@dataclass(frozen=True)
class FilledName:
    """Name with the values of its interpolations, without white space."""

    text: str
    """Text of the name, e.g. ``SEWBlock`` or ``c32k3s1``."""
    pieces: tuple[tuple[int, Span, bool], ...]
    """For each part the offset in ``text``, the span, and whether the part is literal text."""
    gaps: tuple[int, ...]
    """Offsets in ``text`` of white space in the source."""
    span: Span

    def at(self, start: int, end: int) -> Span:
        """Return the span in the source for a part of the text."""
        first, last = self._piece(start), self._piece(max(start, end - 1))
        begin = first[1].start + (start - first[0] if first[2] else 0)
        stop = last[1].start + end - last[0] if last[2] else last[1].end
        return Span(self.span.source, begin, stop)

    def _piece(self, offset: int) -> tuple[int, Span, bool]:
        return self.pieces[bisect_right(self.pieces, offset, key=itemgetter(0)) - 1]


def fill_name(name: Name, evaluate: Callable[[Formula], float]) -> FilledName:
    """Put the values of interpolations into a name, or raise InvalidText if one has no value."""
    text, pieces, gaps = "", [], []
    for part, spaced in zip(name.parts, name.spaced, strict=True):
        if spaced and text:
            gaps.append(len(text))
        written = isinstance(part, Word)
        pieces.append((len(text), part.span, written))
        text += part.text if isinstance(part, Word) else number_text(evaluate(part.formula))
    return FilledName(text, tuple(pieces), tuple(gaps), name.span)
