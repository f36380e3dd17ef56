"""Law of ``check --fix``: fixes terminate, have bounded growth, and do not make a text worse."""

from __future__ import annotations

from collections.abc import Callable

from sewdsl.compiler import Compilation
from sewdsl.compiler.fixing import edits_of_fixes
from sewdsl.diagnostics import Edit, errors_in
from sewdsl.source import Source

MARKS = {
    "unmatched-bracket", "unclosed-bracket", "unexpected-character", "unterminated-string", "integer-too-long",
    "nesting-too-deep",
}  # fmt: skip
"""Errors of single characters, which may hide other errors until they are fixed."""
OF_TRAININGS = {"data-mismatch", "teacher-mismatch"}
"""Errors that are found only without other errors."""
Occurrence = tuple[str, int]
"""Code of a diagnostic, and its offset in the original text."""


def check_fixes(text: str, read: Callable[[str], Compilation], *, unsafe: bool = False) -> str:
    """Apply the fixes of a text until none is left, and check the law after each round.

    Each round removes at least one diagnostic for good: a diagnostic is never repeated for the same characters of the
    original text. So there are at most as many rounds as diagnostics, and the text grows at most by their edits.

    Args:
        text: Text to fix, with any errors.
        read: Function that compiles a text.
        unsafe: Whether to apply unsafe fixes too, which may make a text worse.

    Returns:
        The text without fixes.
    """
    first = compilation = read(text)
    before, added, rounds = len(text), dict[Occurrence, int](), 0
    # Offset in the original text of each character and of the end.
    origin = [*range(len(text) + 1)]
    while True:
        source = Source("t", text)
        growth = dict[Occurrence, int]()
        for diagnostic in compilation.diagnostics:
            for fix in diagnostic.fixes[:1]:
                if (fix.safe or unsafe) and all(edit.span.source == source for edit in fix.edits):
                    key = diagnostic.code, origin[fix.edits[0].span.start]
                    growth[key] = growth.get(key, 0) + sum(map(_growth, fix.edits))
        added |= {key: max(growth[key], added.get(key, 0)) for key in growth}
        fixes = [fix for diagnostic in compilation.diagnostics for fix in diagnostic.fixes[:1]]
        edits = edits_of_fixes(fixes, source, unsafe=unsafe)
        # Keep track of the original offsets, to recognise repeated diagnostics.
        text, origin = _edited(text, origin, edits)
        if text == source.text:
            break
        rounds += 1
        assert rounds <= len(added), f"{rounds} rounds of fixes for {len(added)} diagnostics: {source.text!r}"
        assert len(text) == len(source.text) + sum(map(_growth, edits))
        assert len(text) - before <= sum(max(0, each) for each in added.values()), f"fixes grow {source.text!r}"
        compilation = read(text)
    if not unsafe:
        hidden = any(diagnostic.code in MARKS for diagnostic in first.diagnostics)
        counts = (_marks,) if hidden else (_marks, _errors, _warnings)
        assert [c(compilation) for c in counts] <= [c(first) for c in counts], f"worse than before: {text!r}"
    return text


def _growth(edit: Edit) -> int:
    return len(edit.text) - (edit.span.end - edit.span.start)


def _marks(compilation: Compilation) -> int:
    """Return the number of errors of single characters."""
    return sum(diagnostic.code in MARKS for diagnostic in compilation.diagnostics)


def _errors(compilation: Compilation) -> int:
    return sum(diagnostic.code not in OF_TRAININGS for diagnostic in errors_in(compilation.diagnostics))


def _warnings(compilation: Compilation) -> int:
    """Return the number of warnings of a text without errors."""
    # Errors hide warnings, so the counts of texts with errors are not comparable.
    return 0 if errors_in(compilation.diagnostics) else len(compilation.diagnostics)


def _edited(text: str, origin: list[int], edits: list[Edit]) -> tuple[str, list[int]]:
    """Return a text after edits, and the original offset of each character."""
    for edit in reversed(edits):
        start, end = edit.span.start, edit.span.end
        text = text[:start] + edit.text + text[end:]
        origin = origin[:start] + [origin[start]] * len(edit.text) + origin[end:]
    return text, origin
