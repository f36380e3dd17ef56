"""Messages on the standard streams, with escaped control characters."""

from __future__ import annotations

import sys
from unicodedata import category

_JOINERS = "\u200c\u200d"
"""Format characters that are part of words in Persian, and of emoji."""


def escape_controls(text: str, keep: str = "\n\t") -> str:
    r"""Escape characters that control a terminal, or hide or reorder its text, e.g. as ``\x1b`` or ``\u202e``.

    >>> print(escape_controls("a\x1b[2Jb"))
    a\x1b[2Jb
    """
    # Most texts are printable, and this check is fast.
    if text.isprintable():
        return text
    safe = {c for c in {*text} if c.isprintable() or c in keep or c in _JOINERS or category(c) == "Zs"}
    return "".join(c if c in safe else c.encode("unicode_escape").decode() for c in text)


def echo(text: str = "", *, err: bool = False, end: str = "\n") -> None:
    """Print a message with escaped control characters."""
    echo_styled(escape_controls(text), err=err, end=end)


def echo_styled(text: str, *, err: bool = False, end: str = "\n") -> None:
    """Print a message that contains colour codes and is otherwise escaped."""
    (sys.stderr if err else sys.stdout).write(text + end)


def is_terminal(*, err: bool = False) -> bool:
    """Return whether standard output, or standard error, is a terminal."""
    return (sys.stderr if err else sys.stdout).isatty()
