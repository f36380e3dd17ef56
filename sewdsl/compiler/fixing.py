"""Fixes of diagnostics, applied to the text that they are about."""

from __future__ import annotations

from collections.abc import Iterable

from sewdsl.diagnostics import Diagnostic, Edit
from sewdsl.source import Source


def fixed(diagnostics: Iterable[Diagnostic], source: Source, *, unsafe: bool = False) -> str:
    """The text of a source with the first fix of each diagnostic applied.

    Fixes that would change the same characters as one before them wait for another round, and so do those of
    other files.

    Args:
        diagnostics: What was said, in order.
        source: The text to change.
        unsafe: Also apply fixes that are only likely to be meant.
    """
    taken: list[Edit] = []
    for diagnostic in diagnostics:
        for fix in diagnostic.fixes[:1]:
            ours = all(edit.span.source == source for edit in fix.edits)
            if ours and (fix.safe or unsafe) and not any(_meet(edit, other) for edit in fix.edits for other in taken):
                taken += fix.edits
    text = source.text
    for edit in sorted(taken, key=lambda edit: edit.span.start, reverse=True):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text


def _meet(one: Edit, other: Edit) -> bool:
    """Whether two edits touch the same characters, or insert at the same place."""
    if one.span.start == other.span.start:
        return True
    return one.span.start < other.span.end and other.span.start < one.span.end
