"""Mermaid flowchart of a network, for Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Unpack

from sewdsl.draw import labels, style
from sewdsl.draw.geometry import text_width
from sewdsl.draw.measure import Measure
from sewdsl.draw.picture_items import (
    PictureBlock,
    PictureCall,
    PictureItems,
    PictureLayer,
    PictureLoop,
    PictureMerge,
    PictureReadout,
    PictureRepeat,
    Wiring,
    framed_items,
    picture_items,
)
from sewdsl.draw.scene import Direction, PictureOptions, require_known
from sewdsl.draw.style import PLAIN, PictureLook
from sewdsl.ir.network import Network

ESCAPED_CHARACTERS = {ord(letter): f"#{ord(letter)};" for letter in '"#<>&`\\'}
"""Character references for characters with a special meaning in Mermaid or its Markdown."""
TITLE = str.maketrans("<>&", "\u2039\u203a+")
"""Replacements for characters that Mermaid does not support in the title above a diagram."""
CONFIG = "config: {flowchart: {subGraphTitleMargin: {top: 0, bottom: 14}}}"
"""Space for a title between a frame and its first layer, in pixels."""
DASHES = {"dashed": "4 3", "dotted": "1 3"}
"""Dash patterns of borders."""
BLANK = "#8195;"
"""Em space."""
MOST_EDGES, MOST_CHARACTERS = 500, 50_000
"""Default limits of Mermaid. Only the page can raise them, not the diagram."""


def mermaid(network: Network, **options: Unpack[PictureOptions]) -> str:
    """Return a network as a Mermaid flowchart without legend. Mermaid computes layout and width."""
    require_known(options, "mermaid")
    expand, collapse, depth = options.get("expand", False), options.get("collapse", False), options.get("depth")
    items = picture_items(network, expand=expand, collapse=collapse, depth=depth)
    direction = options.get("direction", "TB")
    writer = _Writer(network, items, options.get("look", PLAIN), vertical=direction == "TB")
    return "\n".join(writer.lines(direction)) + "\n"


def fits_mermaid_limits(text: str) -> bool:
    """Return whether Mermaid draws a flowchart from :func:`mermaid` with its default limits."""
    return text.count(" -->") <= MOST_EDGES and len(text) <= MOST_CHARACTERS


class _Writer:
    def __init__(self, network: Network, items: PictureItems, look: PictureLook, *, vertical: bool) -> None:
        self._network, self._items, self._vertical = network, items, vertical
        self._look, self._theme = look, look.colours
        self._wiring = Wiring(network, items)
        self._measure = Measure(self._wiring, items, vertical=True)
        self._ids = {layer: f"n{layer.nodes[0]}" for layer in self._wiring.layers}
        self._frames: dict[str, style.FamilyStyle] = {}
        self._folds: dict[PictureLayer, tuple[PictureRepeat, ...]] = {}

    def lines(self, direction: Direction) -> Iterator[str]:
        title = f"{labels.short_name(self._network)}: {labels.network_facts(self._network)}".translate(TITLE)
        title_lines = (f"title: {json.dumps(title, ensure_ascii=False)}",) if self._look.title else ()
        yield from ("---", *title_lines, CONFIG, "---", f"flowchart {direction}")
        yield from self._sequence(self._items, (), "    ")
        yield from self._edges()
        yield from (f"    class {name} {look.name}" for name, look in self._frames.items())
        calls = [style.CALL] if any(isinstance(layer, PictureCall) for layer in self._wiring.layers) else []
        styles = [style.TERMINAL, style.OTHER, *(look for _, look in style.FAMILIES), *calls, *self._frames.values()]
        for look in map(self._theme.family, dict.fromkeys(styles)):
            # Mermaid has no named borders, only dash patterns.
            border = f",stroke-dasharray:{DASHES[look.border]}" if look.border in DASHES else ""
            width = f",stroke-width:{look.width:g}px" if look.width is not None else ""
            yield f"    classDef {look.name} fill:{look.fill},stroke:{look.edge},color:{self._theme.ink}{border}{width}"

    def _sequence(self, items: PictureItems, folds: tuple[PictureRepeat, ...], indent: str) -> Iterator[str]:
        for item in items:
            match item:
                case PictureLayer():
                    # Edges that enter or leave a fold show their shape.
                    self._folds[item] = folds
                    label = self._measure.label(item)
                    text = "<br/>".join(map(_text, (label.title, *label.details)))
                    left, right = ("((", "))") if self._wiring.is_join(item) else ("(", ")")
                    if isinstance(item, PictureCall) and item.shared:
                        left, right = "[[", "]]"
                    yield f'{indent}{self._ids[item]}{left}"{text}"{right}:::{self._wiring.style(item).name}'
                case PictureReadout():
                    yield f'{indent}readout(["{_text(self._measure.readout)}"]):::terminal'
                case PictureMerge(operands, layer):
                    for operand in (*operands, (layer,)):
                        yield from self._sequence(operand, folds, indent)
                case PictureLoop(layer, body, feedback):
                    for part in ((layer,), body, feedback):
                        yield from self._sequence(part, folds, indent)
                case PictureBlock() | PictureRepeat():
                    inner_folds = (*folds, item) if isinstance(item, PictureRepeat) else folds
                    title, name = self._measure.title(item), f"f{len(self._frames) + 1}"
                    self._frames[name] = title.style
                    yield f'{indent}subgraph {name}["{self._title(item)}"]'
                    yield from self._sequence(framed_items(item)[0], inner_folds, f"{indent}    ")
                    yield f"{indent}end"

    def _title(self, item: PictureBlock | PictureRepeat) -> str:
        """Return the title of a frame, without its note: a second line would be hidden behind the content."""
        title = self._measure.title(item).title
        # Mermaid centres the title, where a single arrow from above enters. Spaces as wide as the title move the text
        # off the arrow. Branch and shortcut of a join enter on either side of the title.
        needs_padding = self._vertical and not _forks(item.items)
        return BLANK * (1 + round(text_width(title, 1)) if needs_padding else 0) + _text(title)

    def _edges(self) -> Iterator[str]:
        """Yield the edges and their styles."""
        indices_by_style: dict[str, list[int]] = {}
        labelled: set[PictureLayer] = set()
        read_out = next(layer for layer in self._wiring.layers if self._wiring.between(layer, None))
        edges: list[tuple[PictureLayer, PictureLayer | None, int]] = [*self._wiring.all_edges, (read_out, None, 0)]
        for index, (source, target, operand) in enumerate(edges):
            show_shape = self._folds[source] != self._folds.get(target, ()) if target else False
            # One label per value is enough.
            label = "" if source in labelled else self._measure.line_label(source, target, crosses=show_shape)
            labelled.add(source)
            target_id = self._ids[target] if target else "readout"
            label_text = f'|"{_text(label)}"|' if label else ""
            yield f"    {self._ids[source]} -->{label_text} {target_id}"
            nodes = self._wiring.between(source, target)
            signals = self._wiring.carried(target, operand) if target else self._wiring.signals(nodes)
            stroke = self._theme.stroke(style.edge_style(signals))
            dashes = ",stroke-dasharray:4 3" if self._wiring.is_static(signals) else ""
            indices_by_style.setdefault(f"stroke:{stroke.color},stroke-width:{stroke.width:g}px{dashes}", []).append(
                index
            )
        # Mermaid styles edges by number: one line for all edges of a style.
        for look_text, indices in indices_by_style.items():
            yield f"    linkStyle {','.join(map(str, indices))} {look_text}"


def _forks(items: PictureItems) -> bool:
    """Return whether a sequence starts with a merge, whose operands all read its input."""
    match items[0]:
        case PictureMerge():
            return True
        case PictureBlock(items=inner) | PictureRepeat(items=inner):
            return _forks(inner)
        case _:
            return False


def _text(text: str) -> str:
    """Return a text with special characters escaped."""
    return labels.replace_unprintable(text).translate(ESCAPED_CHARACTERS)
