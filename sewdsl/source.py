"""Source texts and spans, which locate diagnostics in all stages of the compiler."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import field
from functools import cached_property

from sewdsl.light_dataclass import dataclass

_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True)
class Source:
    """Source text of the user. The name in diagnostics is the path as typed, or ``<string>``."""

    name: str
    text: str = field(repr=False)

    @cached_property
    def line_starts(self) -> tuple[int, ...]:
        """Offsets of the first character of each line."""
        return (0, *(match.end() for match in _LINE_END.finditer(self.text)))

    @property
    def line_end(self) -> str:
        r"""Line end of the first line, for inserted lines. ``\n`` for a text with one line."""
        match = _LINE_END.search(self.text)
        return match.group() if match else "\n"

    def position(self, offset: int) -> tuple[int, int]:
        """Return line and column of a character, both counted from 1."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Return the text of a line (counted from 1) without its line end."""
        start = self.line_starts[number - 1]
        end = self.line_starts[number] if number < len(self.line_starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")


@dataclass(frozen=True)
class Span:
    """Characters ``start <= i < end`` of a source. Empty spans mark positions of missing text."""

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        """Text of the span."""
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
        """Return a span inside this span, by offsets from the start."""
        return Span(self.source, self.start + start, self.start + end)

    @property
    def after(self) -> Span:
        """Empty span at the end of this one."""
        return Span(self.source, self.end, self.end)


BUILTIN = Span(Source("<built-in>", ""), 0, 0)
"""Span of values without a source, e.g. defaults."""
