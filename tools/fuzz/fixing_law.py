"""The law of ``check --fix``: fixes come to an end, add no more than they say, and leave no text worse than it was."""

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
"""Errors of single characters: what they hide is not known before they are fixed."""
Place = tuple[str, int]
"""The code of a diagnostic and where it is in the text as first written."""


def check_fixes(text: str, read: Callable[[str], Compilation], *, unsafe: bool = False) -> str:
    """Applies the fixes of a text until none is left, and the law to each round.

    Each round takes at least one fix away for good: the same is never said twice of the same characters of the first
    text. So there are no more rounds than diagnostics, and no more characters than their edits add.

    Args:
        text: What to fix.
        read: What is known of a text.
        unsafe: Also apply fixes that are likely, not certain, to be right; these may leave a text worse.

    Returns:
        The text without fixes.
    """
    first = compilation = read(text)
    before, added, rounds = len(text), dict[Place, int](), 0
    origin = [*range(len(text) + 1)]  # of each character, and of the end, in the first text
    while True:
        source = Source("t", text)
        growth = dict[Place, int]()
        for diagnostic in compilation.diagnostics:
            for fix in diagnostic.fixes[:1]:
                if (fix.safe or unsafe) and all(edit.span.source == source for edit in fix.edits):
                    place = diagnostic.code, origin[fix.edits[0].span.start]
                    growth[place] = growth.get(place, 0) + sum(map(_growth, fix.edits))
        added |= {place: max(growth[place], added.get(place, 0)) for place in growth}
        fixes = [fix for diagnostic in compilation.diagnostics for fix in diagnostic.fixes[:1]]
        edits = edits_of_fixes(fixes, source, unsafe=unsafe)
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
    """How many characters have no place in a text."""
    return sum(diagnostic.code in MARKS for diagnostic in compilation.diagnostics)


def _errors(compilation: Compilation) -> int:
    return len(errors_in(compilation.diagnostics))


def _warnings(compilation: Compilation) -> int:
    """How many warnings a text without errors has: errors keep some from being said."""
    return 0 if _errors(compilation) else len(compilation.diagnostics)


def _edited(text: str, origin: list[int], edits: list[Edit]) -> tuple[str, list[int]]:
    """A text after edits, and where its characters were in the first text."""
    for edit in reversed(edits):
        start, end = edit.span.start, edit.span.end
        text = text[:start] + edit.text + text[end:]
        origin = origin[:start] + [origin[start]] * len(edit.text) + origin[end:]
    return text, origin
