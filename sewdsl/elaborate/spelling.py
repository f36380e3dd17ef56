"""The text of a name once its interpolations have values, with the way back to the characters it came from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter

from sewdsl.diagnostics import Diagnostics
from sewdsl.elaborate.formulas import evaluate_formula
from sewdsl.source import Span
from sewdsl.syntax.tree import Name, Word


@dataclass(frozen=True)
class FilledName:
    """A name's text without white space.

    Attributes:
        text: ``SEWBlock``, ``c32k3s1``.
        pieces: Where each part begins in ``text``, its span, and whether its characters are the user's own.
        gaps: Offsets in ``text`` at which the user wrote white space.
        span: The whole name.
    """

    text: str
    pieces: tuple[tuple[int, Span, bool], ...]
    gaps: tuple[int, ...]
    span: Span

    def at(self, start: int, end: int) -> Span:
        """The characters that stand for a part of the text."""
        first, last = self._piece(start), self._piece(max(start, end - 1))
        begin = first[1].start + (start - first[0] if first[2] else 0)
        stop = last[1].start + end - last[0] if last[2] else last[1].end
        return Span(self.span.source, begin, stop)

    def _piece(self, offset: int) -> tuple[int, Span, bool]:
        return self.pieces[bisect_right(self.pieces, offset, key=itemgetter(0)) - 1]


def fill_name(
    name: Name, parameters: Mapping[str, int], diagnostics: Diagnostics, path: tuple[str, ...] = ()
) -> FilledName:
    """Puts the values of the interpolations into a name.

    Raises:
        FormulaError: one has no value; it is reported.
    """
    text, pieces, gaps = "", [], []
    for part, spaced in zip(name.parts, name.spaced, strict=True):
        if spaced and text:
            gaps.append(len(text))
        written = isinstance(part, Word)
        pieces.append((len(text), part.span, written))
        text += (
            part.text if isinstance(part, Word) else str(evaluate_formula(part.formula, parameters, diagnostics, path))
        )
    return FilledName(text, tuple(pieces), tuple(gaps), name.span)
