"""SVG documents of our own as elements of a page."""

from __future__ import annotations

from xml.etree import ElementTree as ET

LEFT_OUT = {"metadata", "style"}
"""What matplotlib writes in addition to shapes; a style would hold for the whole page."""


def svg_element(svg: str | bytes, prefix: str, title: str) -> str:
    """An SVG document as an element of a page: no namespaces, and names that are its own.

    Args:
        svg: A document that sewdsl has drawn, not a file: what is in it comes into the page as it is.
        prefix: Goes before each ``id`` in it, so that several pictures fit on one page.
        title: What it shows, for those who cannot see it.
    """
    root = ET.fromstring(svg)  # noqa: S314 -- drawn a moment ago
    for element in list(root.iter()):
        element.tag = _local(element.tag)
        element[:] = [child for child in element if _local(child.tag) not in LEFT_OUT]
        element.attrib = {_local(name): _prefixed(_local(name), text, prefix) for name, text in element.items()}
        if element.tag == "a":  # Graphviz writes what a tooltip says there
            element.tag = "g"
            tip = ET.Element("title")
            tip.text = element.attrib.pop("title")
            element.insert(0, tip)
    size = {side: root.attrib[side].removesuffix("pt") for side in ("width", "height")}
    root.attrib |= {**size, "role": "img", "aria-label": title}
    return ET.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _prefixed(name: str, text: str, prefix: str) -> str:
    if name == "id":
        return prefix + text
    return text.replace("#", f"#{prefix}") if name == "href" else text.replace("url(#", f"url(#{prefix}")
