"""Values as the language writes them."""

from __future__ import annotations

from decimal import Decimal
from math import isfinite

_WORDS = {None: "none", True: "on", False: "off"}
MAX_WHOLE = 10**9
"""From here on a decimal is written with an exponent: the digits of a whole number are limited."""


def format_value(value: object) -> str:
    """``none``, ``on``, ``off``, lengths as ``2x128x128``, and anything else as its own text."""
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, float) and isfinite(value) and abs(value) >= MAX_WHOLE:
        return f"{Decimal(repr(value)).normalize():e}"  # the shortest digits that are read as this very number
    return "x".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def escape_mathtext(text: str) -> str:
    """A text of somebody else's as matplotlib takes it, for which a dollar sign would begin a formula."""
    return text.replace("$", r"\$")
