"""Words around and behind a picture: its title, its legend, what a layer says under the pointer."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sewdsl.draw.geometry import text_width
from sewdsl.draw.style import INK, MUTED, STROKES, Stroke
from sewdsl.draw.tree import PictureLayer
from sewdsl.ir.network import Network

LONGEST_NAME = 80
NAME, FACTS = 17, 10
"""Font sizes of the lines of a title."""
TITLE_SLACK = 1.2
"""Room for a title, in widths of its text: the font that stands in for a missing one is up to a fifth wider, and as the
renderer fixes where the text starts, it grows to the right alone."""
BOLD_WIDTH_FACTOR = 1.08
"""How much wider bold letters are."""


def replace_unprintable(text: str) -> str:
    """A text with a mark in place of every character that a picture cannot hold."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def short_name(network: Network) -> str:
    """The network's name, at most 80 characters of it."""
    name = replace_unprintable(network.name).strip() or "network"
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def network_facts(network: Network) -> str:
    """Input, time-steps and parameters: ``input 2×128×128 · T = 16 · 130,938 parameters``."""
    shape = "×".join(map(str, network.settings.input))
    return f"input {shape} · T = {network.settings.steps} · {network.total_parameters:,} parameters"


def title_label(network: Network) -> str:
    """Name and facts as an HTML-like label."""
    name, below = short_name(network), network_facts(network)
    room = TITLE_SLACK * max(text_width(name, NAME * BOLD_WIDTH_FACTOR), text_width(below, FACTS))
    return (
        '<<table border="0" cellborder="0" cellspacing="2" cellpadding="0">'
        f'<tr><td width="{room:.0f}"><font point-size="{NAME}" color="{INK}"><b>{escape(name)}</b></font></td></tr>'
        f'<tr><td><font point-size="{FACTS}" color="{MUTED}">{escape(below)}</font></td></tr></table>>'
    )


def legend_label(looks: Sequence[Stroke], *, static: bool, wide: bool) -> str:
    """What the lines mean, as an HTML-like label.

    Args:
        looks: Those that occur.
        static: Whether there are dashed lines.
        wide: Whether there is room for one row; else one meaning stands below the other.
    """
    entries = [_entry("——", look, look.meaning) for look in STROKES if look in looks]
    if static:
        entries.append(_entry("- - -", STROKES[-1], "the same at every time-step"))
    rows = [entries] if wide else [[entry] for entry in entries]
    table = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f'<<table border="0" cellborder="0" cellspacing="4" cellpadding="0">{table}</table>>'


def _entry(sample: str, look: Stroke, meaning: str) -> str:
    line = f'<font color="{look.color}"><b>{sample}</b></font>'
    return f'<td align="left">{line}<font color="{MUTED}">&nbsp;&nbsp;{escape(meaning)}&nbsp;&nbsp;</font></td>'


def layer_tooltip(network: Network, layer: PictureLayer) -> str:
    """The full story of a layer, for the pointer: name, op with every argument, type, parameters."""
    node = network.nodes[layer.nodes[0]]
    copies = f" and {len(layer.nodes) - 1} more" if len(layer.nodes) > 1 else ""
    return replace_unprintable(
        f"{node.name}{copies}: {node.op} gives {node.output}, {network.parameters(node):,} parameters"
    )
