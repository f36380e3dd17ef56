"""Places as the protocol counts them: lines from 0, columns in the units that both sides have agreed on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

from lsprotocol import types

from sewdsl.source import Source, Span

Units = Literal["utf-8", "utf-16", "utf-32"]


@dataclass(frozen=True)
class Positions:
    """The way between the characters of a text and the protocol's positions.

    A place after the end of a line is at its end, one after the last line at the end of the text.

    Attributes:
        units: In what a column is counted.
    """

    source: Source
    units: Units = "utf-16"
    _lines: dict[int, Sequence[int]] = field(default_factory=dict, repr=False, compare=False)

    def offset(self, position: types.Position) -> int:
        """The character at a position."""
        starts = self.source.line_starts
        if position.line >= len(starts):
            return len(self.source.text)
        return starts[position.line] + bisect_right(self._columns(position.line), position.character) - 1

    def position(self, offset: int) -> types.Position:
        """The position of a character."""
        line, column = self.source.position(offset)
        columns = self._columns(line - 1)
        return types.Position(line - 1, columns[min(column, len(columns)) - 1])

    def range(self, span: Span) -> types.Range:
        """The positions of a span's ends."""
        return types.Range(self.position(span.start), self.position(span.end))

    def _columns(self, number: int) -> Sequence[int]:
        """The column at which each character of a line (counted from 0) begins, and that at which the last one ends."""
        if number not in self._lines:
            line = self.source.line(number + 1)
            ascii_ = line.isascii()
            self._lines[number] = range(len(line) + 1) if ascii_ else [0, *accumulate(map(self._width, line))]
        return self._lines[number]

    def _width(self, character: str) -> int:
        if self.units == "utf-32":
            return 1
        if self.units == "utf-16":
            return 1 + (ord(character) > 0xFFFF)  # noqa: PLR2004 -- beyond it are two units
        return len(character.encode("utf-8", "surrogatepass"))
