"""Messages on the standard streams, in which text from files and other programs is shown and never obeyed."""

from __future__ import annotations

import sys
from unicodedata import category

_JOINERS = "\u200c\u200d"
"""Format characters that are part of how words are written, in Persian and in emoji."""


def escape_controls(text: str, keep: str = "\n\t") -> str:
    r"""Write what would control a terminal, or hide or reorder what it shows, as ``\x1b`` or ``\u202e``.

    Args:
        keep: Control characters that stay.

    >>> print(escape_controls("a\x1b[2Jb"))
    a\x1b[2Jb
    """
    if text.isprintable():
        return text
    shown = {c for c in {*text} if c.isprintable() or c in keep or c in _JOINERS or category(c) == "Zs"}
    return "".join(c if c in shown else c.encode("unicode_escape").decode() for c in text)


def echo(text: str = "", *, err: bool = False, end: str = "\n") -> None:
    """Print a message with its control characters escaped."""
    echo_styled(escape_controls(text), err=err, end=end)


def echo_styled(text: str, *, err: bool = False, end: str = "\n") -> None:
    """Print a message with colours, the other parts of which are escaped already."""
    (sys.stderr if err else sys.stdout).write(text + end)


def is_terminal(*, err: bool = False) -> bool:
    """Return whether the standard output, or the standard error, is shown to a user, not read by a program."""
    return (sys.stderr if err else sys.stdout).isatty()
