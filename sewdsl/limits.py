"""How much a text may ask for, so that no input, hostile or mistaken, makes the compiler slow or big."""

from __future__ import annotations

from sewdsl.light_dataclass import dataclass


@dataclass(frozen=True)
class Limits:
    """Upper bounds, each inclusive; ``--limit NAME=NUMBER`` raises one.

    Attributes:
        source_bytes: Length of a source in UTF-8 (option ``source``).
        nesting: Brackets inside brackets, and operators in one ``$(…)`` (``nesting``).
        repeat: The count after ``*`` (``repeat``).
        nodes: Nodes of the expanded network (``nodes``).
        digits: Digits of an integer (``digits``).
        imports: Files that use files that use files (``imports``).
        boxes: Layers that a drawing shows (``boxes``).
    """

    source_bytes: int = 256 * 1024
    nesting: int = 32
    repeat: int = 10_000
    nodes: int = 200_000
    digits: int = 9
    imports: int = 16
    boxes: int = 10_000


DEFAULT_LIMITS = Limits()
"""The limits in force unless an option raises one."""


def raise_limit_help(option: str) -> str:
    """How a limit is raised, for a diagnostic's help."""
    return f"raise the limit with --limit {option}=NUMBER if this is intended"
