"""Digits below or above the line, as a PDF file prints ``c32k3s1`` and ``{…}*7``."""

from __future__ import annotations

import re

from sewdsl.diagnostics import Edit, Fix
from sewdsl.source import Source, Span

_BELOW, _ABOVE = "₀₁₂₃₄₅₆₇₈₉", "⁰¹²³⁴⁵⁶⁷⁸⁹"
_RUN = re.compile(f"[{_BELOW}]+|[{_ABOVE}]+")
_DIGITS = str.maketrans(_BELOW + _ABOVE, "0123456789" * 2)


def small_digits(source: Source, offset: int) -> tuple[Span, str, tuple[Fix, ...]] | None:
    """The run of such digits at a place, how it is mended in words, and by a fix; None: there is none.

    The fix is safe where there is one reading: a count above the line behind a repeat, an argument below it behind its
    letter. A number above the line elsewhere may be a footnote's.
    """
    found = _RUN.match(source.text, offset)
    if not found:
        return None
    digits = found.group().translate(_DIGITS)
    before = next((c for c in map(source.text.__getitem__, range(offset - 1, -1, -1)) if not c.isspace()), "")
    repeat, above = before in {"}", ">", "⟩"}, found.group()[0] in _ABOVE
    letter = source.text[offset - 1 : offset].isalpha() and not source.text[found.end() : found.end() + 1].isdecimal()
    text = f"*{digits}" if repeat else digits
    fix = Fix(f"write '{text}'", (Edit(Span(source, offset, found.end()), text),), safe=above if repeat else letter)
    if above and not repeat:
        return Span(source, offset, found.end()), f"write '{digits}', or remove it where it is a footnote's", ()
    return Span(source, offset, found.end()), f"write '{text}'", (fix,)
