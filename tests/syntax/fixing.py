"""Applies fixes to a text, as ``check --fix`` does to a file."""

from __future__ import annotations

from sewdsl.diagnostics import Fix


def apply_fix(text: str, fix: Fix) -> str:
    """The text after one fix."""
    for edit in sorted(fix.edits, key=lambda edit: edit.span.start, reverse=True):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text
