"""Sequences over several lines."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.notation.tree import Item, Items, Join, Repeat, text, text_of

WIDTH = 120
"""Characters of a line."""
STEP = 4
"""By how much the formatter indents what stands inside of brackets."""


def wrap(items: Items, indent: int) -> str:
    """A sequence that goes on in the next line where a line is full, behind a ``-``; joins are opened up.

    Args:
        items: The sequence.
        indent: Blanks that the formatter will put in front of each line.
    """
    whole = text(items)
    if len(whole) + indent <= WIDTH:
        return whole
    return "\n".join(_lines(items, indent))


def _lines(items: Items, indent: int) -> Iterator[str]:
    line = ""
    for place, item in enumerate(items):
        dash = "-" if place < len(items) - 1 else ""
        flat = text_of(item) + dash
        if indent + len(line) + len(flat) <= WIDTH:
            line += flat
            continue
        if line:
            yield line
        line = flat
        if indent + len(flat) > WIDTH:
            *full, last = _opened(item, indent)
            yield from full
            line = last + dash
    if line:
        yield line


def _opened(item: Item, indent: int) -> list[str]:
    """An item that is longer than a line, over several."""
    match item:
        case Join(name, branch, shortcut):
            sides = wrap(branch, indent + STEP), f"| {wrap(shortcut, indent + STEP + len('| '))}"
            return [f"{name}[", *(line for side in sides for line in side.split("\n")), "]"]
        case Repeat(inner, count):
            return ["{", *wrap(inner, indent + STEP).split("\n"), f"}}*{count}"]
        case _:
            return [text_of(item)]
