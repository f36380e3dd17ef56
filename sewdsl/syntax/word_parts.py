r"""What the parts of single words and quantities are, by their letters alone: the vocabulary is open.

``c32k3s1`` is a name with compact arguments. A name that begins with upper-case letters, as ``MPk2``, ends with them;
one in lower case ends at the first digit. Words of any other form, as ``ResNet152``, are names as a whole.

Whatever a group below has matched it keeps: there is one way to read a word, and it takes time in proportion.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sewdsl.syntax.highlight_tokens import Piece

NUMBER = r"(?>[0-9]+(?:\.[0-9]+)?(?:[x×][0-9]+)?)"
"""The value of a compact argument."""
HEAD = r"(?>[A-Z]+|[a-z]+)"
"""A name that compact arguments may follow."""
ARGUMENTS = rf"(?>{NUMBER}?(?:[a-z]{NUMBER})*)"
"""Compact arguments after a name; the first may have no letter."""
LETTERED = rf"(?>(?:[a-z]{NUMBER})*)"
"""Compact arguments that all have a letter."""

_NAME = re.compile(rf"({HEAD})({ARGUMENTS})")
_NAME_BEFORE_FORMULA = re.compile(rf"({HEAD})({ARGUMENTS}[a-z]?)")
_LETTERED = re.compile(LETTERED)
_LETTERED_OPEN = re.compile(rf"{LETTERED}[a-z]?")
_PART = re.compile(rf"([a-z])|{NUMBER}")


def split_name(text: str, offset: int, *, goes_on: bool) -> list[Piece]:
    """The pieces of a name; where a ``$(…)`` touches its end it goes on, and may end with an argument's letter."""
    found = (_NAME_BEFORE_FORMULA if goes_on else _NAME).fullmatch(text)
    if not found:
        return [("name", offset, offset + len(text))]
    return [("name", offset, offset + found.end(1)), *_parts(found[2], offset + found.start(2))]


def split_block_arguments(text: str, offset: int, *, goes_on: bool) -> list[Piece] | None:
    """The pieces of compact arguments in parentheses, as ``c128s2``; None: it is something else."""
    found = (_LETTERED_OPEN if goes_on else _LETTERED).fullmatch(text)
    return _parts(text, offset) if found else None


def split_after_formula(text: str, offset: int) -> list[Piece]:
    """The pieces of a word that goes on after a ``$(…)``."""
    found = _LETTERED_OPEN.fullmatch(text)
    return _parts(text, offset) if found else [("name", offset, offset + len(text))]


def split_quantity(text: str, offset: int) -> list[Piece]:
    """The number and the unit."""
    split = offset + len(text.rstrip("%kKMGTPiBmunpJx"))
    return [("number", offset, split), ("unit", split, offset + len(text))]


def _parts(text: str, offset: int) -> list[Piece]:
    return [
        ("argument" if found[1] else "number", offset + found.start(), offset + found.end())
        for found in _PART.finditer(text)
    ]
