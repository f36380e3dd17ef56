"""Pictures that become a part of the page."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from sewdsl.train.report.markup import Markup

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
