"""Text with a name, and spans of it: what every other stage uses to say *where*."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import field
from functools import cached_property

from sewdsl.light_dataclass import dataclass

_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True)
class Source:
    """A text as the user wrote it.

    Attributes:
        name: What a diagnostic calls it: a path as the user typed it, or ``<string>``.
    """

    name: str
    text: str = field(repr=False)

    @cached_property
    def line_starts(self) -> tuple[int, ...]:
        """Offsets of the first character of each line."""
        return (0, *(match.end() for match in _LINE_END.finditer(self.text)))

    @property
    def line_end(self) -> str:
        r"""What ends its first line, for lines that are added to it; ``\n`` where it has one line only."""
        found = _LINE_END.search(self.text)
        return found.group() if found else "\n"

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character, both counted from 1."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Return the text of a line (counted from 1) without its line end."""
        start = self.line_starts[number - 1]
        end = self.line_starts[number] if number < len(self.line_starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")


@dataclass(frozen=True)
class Span:
    """The characters ``start <= i < end`` of a source; empty at a place where something is missing."""

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        """The characters themselves."""
        return self.source.text[self.start : self.end]

    @property
    def line(self) -> int:
        """Line of the first character, from 1."""
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        """Column of the first character, from 1."""
        return self.source.position(self.start)[1]

    def to(self, other: Span) -> Span:
        """Return the span from the start of this one to the end of another."""
        return Span(self.source, self.start, max(self.end, other.end))

    def part(self, start: int, end: int) -> Span:
        """Return a span inside this one, by offsets from its start."""
        return Span(self.source, self.start + start, self.start + end)

    @property
    def after(self) -> Span:
        """The empty span right after it."""
        return Span(self.source, self.end, self.end)


BUILTIN = Span(Source("<built-in>", ""), 0, 0)
"""The place of what no text of the user's says, such as a default."""
