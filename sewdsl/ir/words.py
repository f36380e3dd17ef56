"""Values as the language writes them."""

from __future__ import annotations

_WORDS = {None: "none", True: "on", False: "off"}


def in_words(value: object) -> str:
    """``none``, ``on``, ``off``, lengths as ``2x128x128``, and anything else as its own text."""
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    return "x".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def in_pictures(text: str) -> str:
    """A text of somebody else's as matplotlib takes it, for which a dollar sign would begin a formula."""
    return text.replace("$", r"\$")
