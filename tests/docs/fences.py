"""The fences of a page, as Markdown finds them, and what a console shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt

_INFO = re.compile(r"([\w-]+)(?: title=\"([^\"]+)\")?")
_NUMBER = re.compile(r"\d[\d,]*\.\d+(?:e[+-]?\d+)?|\d{1,3}(?:,\d{3})+|\d+(?= [mµnp]?J\b)")


class Fence(NamedTuple):
    """Text between two fences.

    Attributes:
        kind: Language after the opening fence. Empty without a language, and for an indented block.
        title: Name of the file, if the text is a file.
        line: First line.
        text: Lines between the fences.
    """

    kind: str
    title: str
    line: int
    text: str


def fences(page: Path) -> list[Fence]:
    """Return all code of a page, in order."""
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
    """Return whether a printed text matches a shown one, in which ``...`` matches any text.

    Args:
        wanted: Text of the page.
        printed: Output of the command. Spaces at the ends of lines are ignored.
        leeway: Allowed relative difference of numbers with a point, a comma or the unit joule. With a difference
            allowed, the number of consecutive spaces is ignored.
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
