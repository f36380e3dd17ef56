"""Sequences over several lines."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.notation.tree import Item, Items, JoinText, RepeatText, item_text, items_text, shortcut_prefix

WIDTH = 120
"""Characters of a line."""
MIN_LINE_LENGTH = 40
"""Characters of a line that stand behind its indentation, however deep that is."""
STEP = 4
"""By how much the formatter indents what stands inside of brackets."""


def wrap_sequence(items: Items, indent: int, used: int = 0) -> str:
    """A sequence that goes on in the next line where a line is full, behind a ``-``; joins are opened up.

    Args:
        items: The sequence.
        indent: Blanks that the formatter will put in front of each line.
        used: Characters that stand in front of the sequence in its first line; others are as short.
    """
    whole, room = items_text(items), max(WIDTH - indent - used, MIN_LINE_LENGTH)
    return whole if len(whole) <= room else "\n".join(_lines(items, indent, room))


def _lines(items: Items, indent: int, room: int) -> Iterator[str]:
    line = ""
    for place, item in enumerate(items):
        dash = "-" if place < len(items) - 1 else ""
        flat = item_text(item) + dash
        if len(line) + len(flat) <= room:
            line += flat
            continue
        if line:
            yield line
        line = flat
        if len(flat) > room:
            *full, last = _opened(item, indent)
            yield from full
            line = last + dash
    if line:
        yield line


def _opened(item: Item, indent: int) -> list[str]:
    """An item that is longer than a line, over several."""
    match item:
        case JoinText(name, branch, shortcut):
            bar = f"| {shortcut_prefix(item)}"
            sides = wrap_sequence(branch, indent + STEP), bar + wrap_sequence(shortcut, indent + STEP, len(bar))
            return [f"{name}[", *(line for side in sides for line in side.split("\n")), "]"]
        case RepeatText(inner, count):
            return ["{", *wrap_sequence(inner, indent + STEP).split("\n"), f"}}*{count}"]
        case _:
            return [item_text(item)]
