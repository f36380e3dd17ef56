"""HTML of the report: escaped by construction, with embedded SVG and formatted values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from xml.etree import ElementTree as ET


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


REMOVED_ELEMENTS = {"defs/style", "foreignObject", "image", "metadata", "script", "style"}
"""Elements that are no shapes: a style would hold for the whole page, and a script runs."""
ELEMENT_TREE_ERRORS = (ET.ParseError, ValueError, RecursionError)


def inline(svg: str, prefix: str, title: str) -> Markup:
    """An SVG document as an element of a page: no namespaces, no links, no scripts, and names that are its own.

    Args:
        svg: The document.
        prefix: Goes before each ``id`` in it, so that several pictures fit on one page.
        title: What it shows, for those who cannot see it.

    Returns:
        The element; nothing where the document cannot be read, or its elements are nested too deep.
    """
    try:
        root = ET.fromstring(svg)  # noqa: S314 -- expat refuses entities that grow; it is a file of the run's own
        _clean(root, prefix)
        for name in ("width", "height"):
            if name in root.attrib:
                root.set(name, root.attrib[name].removesuffix("pt"))
        root.set("role", "img")
        root.set("aria-label", title)
        return Markup(ET.tostring(root, encoding="unicode"))
    except ELEMENT_TREE_ERRORS:
        return Markup()


def _clean(element: ET.Element, prefix: str) -> None:
    element.tag = _local(element.tag)
    given = {_local(name): value for name, value in element.attrib.items()}
    kept = {name: _named(name, value, prefix) for name, value in given.items() if _harmless(name, value)}
    if element.tag == "a":  # Graphviz puts what a tooltip says there
        element.tag = "g"
        tip = kept.pop("title", "")
        if tip:
            title = ET.Element("title")
            title.text = tip
            element.insert(0, title)
    element.attrib.clear()
    element.attrib.update(kept)
    element[:] = [
        child for child in element if isinstance(child.tag, str) and _local(child.tag) not in REMOVED_ELEMENTS
    ]
    for child in element:
        _clean(child, prefix)


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _harmless(name: str, value: str) -> bool:
    outside = name == "href" and not value.startswith("#")
    return not outside and not name.startswith("on") and "://" not in value and name not in {"target", "version"}


def _named(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    if name == "href":
        return f"#{prefix}{value[1:]}"
    return re.sub(r"url\(#", f"url(#{prefix}", value)


MAX_NAMES = 5
"""More are counted, not named."""
MIN_SHOWN_SHARE = 0.0005
"""Shares below this one would be rounded to nothing."""


def format_share(part: float) -> str:
    """A share to a tenth of a percent; ``none`` and ``all`` where it is exactly that."""
    if part in {0, 1}:
        return "all" if part else "none"
    if part < MIN_SHOWN_SHARE:
        return "<0.1%"
    return ">99.9%" if part > 1 - MIN_SHOWN_SHARE else f"{part:.1%}"


def breakable(name: str) -> Markup:
    """A node's name, which may go on in the next line after each dot."""
    first, *rest = name.split(".")
    return join(first, *(join(".", Markup("<wbr>"), part) for part in rest))


def join_names(said: Mapping[str, str]) -> str:
    """``plif1 (4 of 32), plif2 (3 of 32) and 12 more layers``."""
    first = [f"{name} ({what})" for name, what in list(said.items())[:MAX_NAMES]]
    more = len(said) - len(first)
    return ", ".join(first) + (f" and {more} more layer{'s' if more > 1 else ''}" if more else "")
