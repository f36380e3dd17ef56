"""HTML, put together so that nothing in it can be anything but text unless it was made here."""

from __future__ import annotations

from html import escape


class Markup(str):
    """Text that is HTML already; any other text is escaped."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str | float | None) -> Markup:
    """An element.

    Args:
        name: ``section``.
        *children: What it contains; text is escaped.
        **attributes: With ``_`` for ``-``, and one at the end of a word of Python: ``class_="rate"``.
            An attribute that is None is left out.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{given}>{join(*children)}</{name}>")


def join(*children: str) -> Markup:
    """Several pieces, one after another."""
    return Markup("".join(child if isinstance(child, Markup) else escape(child) for child in children))
