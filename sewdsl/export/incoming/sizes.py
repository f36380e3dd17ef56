"""The shape of an input as a user says it."""

from __future__ import annotations

import re

_TEXT = re.compile(r"[1-9][0-9]{0,8}(?:x[1-9][0-9]{0,8}x[1-9][0-9]{0,8})?")


def parse_input_size(said: str | tuple[int, ...]) -> tuple[int, ...]:
    """``(C, H, W)`` or ``(F,)``, of ``"2x128x128"``, ``(2, 128, 128)``, ``"784"`` or ``(784,)``.

    Raises:
        ValueError: it is none of these.
    """
    text = said if isinstance(said, str) else "x".join(map(str, said)) if isinstance(said, tuple | list) else ""
    if not _TEXT.fullmatch(text):
        message = f"input takes a shape, '2x128x128' or (2, 128, 128), or a number of features, '784', not {said!r:.40}"
        raise ValueError(message)
    return tuple(map(int, text.split("x")))
