"""Places as the protocol counts them: lines from 0, columns in the units that both sides have agreed on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lsprotocol import types

from sewdsl.source import Source, Span

Units = Literal["utf-8", "utf-16", "utf-32"]


@dataclass(frozen=True)
class Positions:
    """The way between the characters of a text and the protocol's positions.

    A place behind the end of a line is at its end, one behind the last line at the end of the text.

    Attributes:
        source: The text.
        units: In what a column is counted.
    """

    source: Source
    units: Units = "utf-16"

    def offset(self, position: types.Position) -> int:
        """The character at a position."""
        starts = self.source.line_starts
        if position.line >= len(starts):
            return len(self.source.text)
        line, column = self.source.line(position.line + 1), position.character
        if line.isascii():
            return starts[position.line] + min(column, len(line))
        for index, character in enumerate(line):
            column -= self._width(character)
            if column < 0:
                return starts[position.line] + index
        return starts[position.line] + len(line)

    def position(self, offset: int) -> types.Position:
        """The position of a character."""
        line, column = self.source.position(offset)
        before = self.source.text[offset - column + 1 : offset]
        width = len(before) if before.isascii() else sum(map(self._width, before))
        return types.Position(line - 1, width)

    def range(self, span: Span) -> types.Range:
        """The positions of a span's ends."""
        return types.Range(self.position(span.start), self.position(span.end))

    def _width(self, character: str) -> int:
        if self.units == "utf-32":
            return 1
        if self.units == "utf-16":
            return 1 + (ord(character) > 0xFFFF)  # noqa: PLR2004 -- beyond it are two units
        return len(character.encode("utf-8", "surrogatepass"))
