"""Fixes of diagnostics, applied to the text that they are about."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable

from sewdsl.diagnostics import Diagnostic, Edit, Fix
from sewdsl.source import Source


def apply_fixes(diagnostics: Iterable[Diagnostic], source: Source, *, unsafe: bool = False) -> str:
    """Return the text of a source with the first fix of each diagnostic applied.

    Args:
        unsafe: Also apply fixes that are likely, not certain, to be right.
    """
    pieces, done = [], 0
    fixes = (fix for diagnostic in diagnostics for fix in diagnostic.fixes[:1])
    for edit in edits_of_fixes(fixes, source, unsafe=unsafe):
        pieces += [source.text[done : edit.span.start], edit.text]
        done = edit.span.end
    return "".join([*pieces, source.text[done:]])


def edits_of_fixes(fixes: Iterable[Fix], source: Source, *, unsafe: bool = False) -> list[Edit]:
    """Return the edits of fixes, by place; no two of them meet.

    Fixes that would change the same characters as one before them wait for another round, and so do those of
    other files.

    Args:
        fixes: In order of precedence.
        unsafe: Also take fixes that are likely, not certain, to be right.
    """
    taken: list[Edit] = []
    for fix in fixes:
        ours = all(edit.span.source == source for edit in fix.edits)
        if ours and (fix.safe or unsafe) and not any(_meets(edit, taken) for edit in fix.edits):
            for edit in fix.edits:
                insort(taken, edit, key=_start)
    return taken


def _start(edit: Edit) -> int:
    return edit.span.start


def _meets(edit: Edit, taken: list[Edit]) -> bool:
    """Return whether an edit touches the characters of one of them, or inserts at the same place."""
    place = bisect_right(taken, edit.span.start, key=_start)
    before, behind = taken[max(place - 1, 0) : place], taken[place : place + 1]
    return any(_start(other) == _start(edit) or _start(edit) < other.span.end for other in before) or any(
        _start(other) < edit.span.end for other in behind
    )
