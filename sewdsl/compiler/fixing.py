"""Application of the fixes of diagnostics."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable

from sewdsl.diagnostics import Diagnostic, Edit, Fix
from sewdsl.source import Source


def apply_fixes(diagnostics: Iterable[Diagnostic], source: Source, *, unsafe: bool = False) -> str:
    """Return the text of a source with the first fix of each diagnostic applied.

    Args:
        unsafe: Also apply unsafe fixes, which are likely but not certain to be correct.
    """
    pieces, copied = [], 0
    # The first fix of a diagnostic is the preferred one.
    fixes = (fix for diagnostic in diagnostics for fix in diagnostic.fixes[:1])
    for edit in edits_of_fixes(fixes, source, unsafe=unsafe):
        pieces += [source.text[copied : edit.span.start], edit.text]
        copied = edit.span.end
    return "".join([*pieces, source.text[copied:]])


def edits_of_fixes(fixes: Iterable[Fix], source: Source, *, unsafe: bool = False) -> list[Edit]:
    """Return the edits of fixes in source order, without overlaps.

    Fixes of other files are skipped, and so are overlaps with an earlier fix until the next round.

    Args:
        fixes: Fixes in order of precedence.
    """
    applied: list[Edit] = []
    # A fix is applied completely or not at all.
    for fix in fixes:
        in_source = all(edit.span.source == source for edit in fix.edits)
        if in_source and (fix.safe or unsafe) and not any(_overlaps(edit, applied) for edit in fix.edits):
            for edit in fix.edits:
                insort(applied, edit, key=_start)
    return applied


def _start(edit: Edit) -> int:
    return edit.span.start


def _overlaps(edit: Edit, applied: list[Edit]) -> bool:
    """Return whether an edit overlaps an edit in the sorted list ``applied``, or inserts at the same offset."""
    index = bisect_right(applied, edit.span.start, key=_start)
    before, after = applied[max(index - 1, 0) : index], applied[index : index + 1]
    # Two insertions at one offset have no defined order, so they count as an overlap.
    return any(_start(other) == _start(edit) or _start(edit) < other.span.end for other in before) or any(
        _start(other) < edit.span.end for other in after
    )
