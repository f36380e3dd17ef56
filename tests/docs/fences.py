"""The fences of a page, as Markdown finds them, and what a console shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

_INFO = re.compile(r"([\w-]+)(?: title=\"([^\"]+)\")?")
_NUMBER = re.compile(r"\d[\d,]*\.\d+(?:e[+-]?\d+)?|\d{1,3}(?:,\d{3})+|\d+(?= [mµnp]?J\b)")


class Fence(NamedTuple):
    """What is between two fences.

    Attributes:
        kind: What it holds, as is said after the opening fence; empty where nothing is, or in an indented block.
        title: The name of the file that it is, if it is one.
        line: Where it begins.
        text: What it holds.
    """

    kind: str
    title: str
    line: int
    text: str


def fences(page: Path) -> list[Fence]:
    """Everything that a page shows in a typewriter's letters, in order."""
    found = []
    for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
        if token.type in {"fence", "code_block"}:
            info = _INFO.fullmatch(token.info.strip())
            kind, title = (info[1], info[2] or "") if info else (token.info, "")
            found.append(Fence(kind, title, (token.map or [0])[0] + 1, token.content))
    return found


def shell(text: str) -> list[str]:
    """The commands of a script, each without what continues its line and without comments."""
    lines = text.replace("\\\n", " ").splitlines()
    return [part.strip() for line in lines if not line.startswith("#") for part in line.split("&&") if part.strip()]


def session(text: str) -> list[tuple[str, str]]:
    """The commands of a console, each with what it prints."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    assert not parts[0], f"output without a command: {parts[0]}"
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts[1:])]


def agrees(wanted: str, printed: str, *, leeway: float = 0) -> bool:
    """Whether a command prints what is shown; ``...`` matches anything.

    Args:
        wanted: As shown.
        printed: As printed; blanks at the ends of lines do not count.
        leeway: By which part of itself a number may differ that has a point, a comma or joules after it; with any, nor
            does the number of blanks in a row.
    """
    shown, said = ("\n".join(map(str.rstrip, text.splitlines())).strip("\n") for text in (wanted, printed))
    if not leeway:
        return re.fullmatch(re.escape(shown).replace(re.escape("..."), ".*?"), said, re.DOTALL) is not None
    shown, said = (re.sub("─+", "─", re.sub(" +", " ", text)) for text in (shown, said))
    pieces = _NUMBER.split(shown)
    pattern = rf"({_NUMBER.pattern})".join(re.escape(piece).replace(re.escape("..."), ".*?") for piece in pieces)
    found = re.fullmatch(pattern, said, re.DOTALL)
    return found is not None and all(
        abs(a - b) <= leeway * max(abs(a), abs(b))
        for a, b in zip(map(_value, _NUMBER.findall(shown)), map(_value, found.groups()), strict=True)
    )


def _value(number: str) -> float:
    return float(number.replace(",", ""))
