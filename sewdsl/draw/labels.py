"""Text in a diagram: title, legend, tooltips, and labels of layers, shapes and value ranges."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import groupby

from sewdsl.draw.geometry import text_width
from sewdsl.draw.picture_items import PictureCall, PictureLayer
from sewdsl.draw.style import FamilyStyle, ThemeColours
from sewdsl.elaborate.arguments import redundant_arguments
from sewdsl.elaborate.node_builder import FollowerIndex, Followers
from sewdsl.ir.network import Network
from sewdsl.ir.printed_values import format_value
from sewdsl.ir.signal import ValueRange
from sewdsl.ops.input import Input

MAX_STATIONS = 4
"""Most stations that are all shown."""


def shape_range_text(values: Sequence[tuple[int, ...]]) -> str:
    """One shape or the way from the first to the last.

    >>> shape_range_text([(32, 128, 128)])
    '32×128×128'
    >>> shape_range_text([(32, 16, 16), (32, 8, 8), (32, 4, 4), (32, 2, 2), (32, 1, 1)])
    '32×(16→8→…→1)²'
    >>> shape_range_text([(32, 1, 1), (11,)])
    '32×1×1→11'
    """
    values = [key for key, _ in groupby(values)]
    if len({len(shape) for shape in values}) > 1:
        return _way(["×".join(map(str, shape)) for shape in values])
    axes = [_way([str(length) for length in axis]) for axis in zip(*values, strict=True)]
    texts = [f"({axis})" if "→" in axis and len(axes) > 1 else axis for axis in axes]
    if len(texts) > 1 and texts[-1] == texts[-2] and "→" in texts[-1]:
        texts[-2:] = [f"{texts[-1]}²"]
    return "×".join(texts)


def value_range_text(values: Sequence[ValueRange]) -> str:
    """The range of counts, or the way from the first to the last.

    >>> value_range_text([ValueRange(2)]), value_range_text([ValueRange(upper) for upper in (2, 3, 4, 5, 6)])
    ('0..2', '0..(2→3→…→6)')
    """
    way = _way([key for key, _ in groupby("real" if value.count is None else str(value.count) for value in values)])
    return f"0..({way})" if "→" in way else f"0..{way}"


def _way(stations: Sequence[str]) -> str:
    stations = [key for key, _ in groupby(stations)]
    if len(stations) > MAX_STATIONS:
        stations = [*stations[:2], "…", stations[-1]]
    return "→".join(stations)


ALWAYS_SHOWN = ("", "k", "s")
"""Letters that are shown even where the default holds: papers print ``c32k3s1``."""
MAX_LABEL_LENGTH = 36


@dataclass(frozen=True)
class Label:
    """The text of a layer.

    Attributes:
        title: The compact form, spaced: ``c32 k3 s1``.
        details: Other arguments that are not at their defaults, one each: ``tau = 1.5``.
    """

    title: str
    details: tuple[str, ...] = ()


class Labels:
    """The labels of the nodes of one network."""

    def __init__(self, network: Network) -> None:
        self._ops = [node.op for node in network]
        self._followers = FollowerIndex(self._ops, network.graph.consumers, network.settings.steps)

    def of(self, index: int, source: str = "") -> Label:
        """The label of a node, with the value that it reads where no line shows it.

        An argument is shown only if leaving it out would give another layer; channels, kernel and stride always.
        """
        op = self._ops[index]
        if isinstance(op, Input):
            return Label("input")
        letters = {name: letter for letter, name in op.letters().items()}
        title, details = [op.kind], []
        unsaid = redundant_arguments(op, Followers(self._followers, index).settled)
        for name, value in op:
            letter = letters.get(name)
            if value is None and letter is not None:
                continue
            if letter not in ALWAYS_SHOWN and name in unsaid:
                continue
            if letter is None:
                details.append(cut(f"{name} = {format_value(value)}"))
            elif letter:
                title.append(letter + _compact(value))
            else:
                title[0] += _compact(value)
        details += [cut(source)] if source else []
        return Label(cut(" ".join(title)), tuple(details))


def arguments_text(arguments: str) -> str:
    """The arguments of a call, spaced.

    >>> arguments_text("c128s2"), arguments_text("c4, g=AND")
    ('c128 s2', 'c4, g=AND')
    """
    return re.sub(r"(?<=[0-9])(?=[a-z])", " ", arguments)


def call_label(call: PictureCall, *, narrow: bool) -> Label:
    """The label of a block that is a box: its name, which copies, its arguments.

    Args:
        narrow: Whether the copies are not on the line of the name.
    """
    title = call.title if narrow else f"{call.title} {call.note}".strip()
    below = " · ".join(filter(None, (call.note if narrow else "", arguments_text(call.arguments))))
    return Label(cut(replace_unprintable(title)), (cut(replace_unprintable(below)),) if below else ())


LONGEST_DETAIL = 18
"""Characters of a detail that a narrow picture leaves on one line."""


def narrow_label(label: Label) -> Label:
    """The label with long details in two lines each.

    >>> narrow_label(Label("LIF", ("surrogate = Sigmoid(alpha=4.0)", "tau = 1.5"))).details
    ('surrogate =', 'Sigmoid(alpha=4.0)', 'tau = 1.5')
    """
    lines: list[str] = []
    for detail in label.details:
        name, equals, value = detail.partition(" = ")
        lines += [f"{name} =", value] if equals and len(detail) > LONGEST_DETAIL else [detail]
    return replace(label, details=tuple(lines))


def _compact(value: object) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, dict.fromkeys(value)))
    return str(int(value)) if isinstance(value, bool) else str(value)


def cut(text: str, length: int = MAX_LABEL_LENGTH) -> str:
    """A text, or its beginning."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


LONGEST_NAME = 80
DETAIL = 8.5
"""Font size of the details of a layer, and of notes on frames."""
NAME, FACTS = 17, 10
"""Font sizes of the lines of a title."""
TITLE_SLACK = 1.2
"""Room for a title, in widths of its text: the font that replaces a missing one is up to a fifth wider, and as the
renderer fixes where the text starts, it grows to the right alone."""
BOLD_WIDTH_FACTOR = 1.08
"""How much wider bold letters are."""


def replace_unprintable(text: str) -> str:
    """A text with a mark in place of every character that a picture cannot hold."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def short_name(network: Network) -> str:
    """The network's name, at most 80 characters of it."""
    return cut(replace_unprintable(network.name).strip() or "network", LONGEST_NAME)


def network_facts(network: Network) -> str:
    """Input, time-steps and parameters: ``input 2×128×128 · T = 16 · 130,938 parameters``."""
    shape = "×".join(map(str, network.settings.input))
    return f"input {shape} · T = {network.settings.steps} · {network.total_parameters:,} parameters"


def title_room(network: Network) -> float:
    """How wide the title is."""
    name, below = short_name(network), network_facts(network)
    return TITLE_SLACK * max(text_width(name, NAME * BOLD_WIDTH_FACTOR), text_width(below, FACTS))


def title_label(network: Network, theme: ThemeColours) -> str:
    """Name and facts as an HTML-like label."""
    name, below, room = short_name(network), network_facts(network), title_room(network)
    return (
        '<<table border="0" cellborder="0" cellspacing="2" cellpadding="0">'
        f'<tr><td width="{room:.0f}"><font point-size="{NAME}" color="{theme.ink}"><b>{escape(name)}</b></font></td>'
        "</tr>"
        f'<tr><td><font point-size="{FACTS}" color="{theme.muted}">{escape(below)}</font></td></tr></table>>'
    )


def frame_label(title: str, note: str, room: float, theme: ThemeColours) -> str:
    """The words on a frame as an HTML-like label, which begin where their room begins, whatever the font."""
    bold = f"<b>{escape(replace_unprintable(title))}</b>"
    small = (
        f'<br align="left"/><font point-size="{DETAIL:g}" color="{theme.muted}">{escape(note)}</font>' if note else ""
    )
    return (
        '<<table border="0" cellborder="0" cellspacing="0" cellpadding="2"><tr>'
        f'<td width="{room:.0f}" align="left" balign="left">{bold}{small}</td></tr></table>>'
    )


LEGEND, SAMPLE, ENTRY_GAP = 9.0, 18.0, 20.0
"""Font size of a meaning; how wide a sample is, and the room around an entry; in points."""


@dataclass(frozen=True)
class LegendEntry:
    """A sample of what occurs in a picture, and what it means.

    Attributes:
        sample: As cells of an HTML-like table.
    """

    sample: str
    meaning: str

    @property
    def room(self) -> float:
        """How wide it is."""
        return SAMPLE + ENTRY_GAP + text_width(self.meaning, LEGEND)


def line_entry(sample: str, colour: str, meaning: str) -> LegendEntry:
    """Return the entry of lines, or of dots on them, of a colour."""
    return LegendEntry(f'<td><font color="{colour}"><b>{sample}</b></font></td>', meaning)


def box_entry(look: FamilyStyle, meaning: str) -> LegendEntry:
    """Return the entry of boxes or frames of a look."""
    border = "" if look.border == "solid" else f",{look.border}"
    box = f'border="1" width="{SAMPLE:g}" height="9" fixedsize="true" bgcolor="{look.fill}" color="{look.edge}"'
    return LegendEntry(f'<td {box} style="rounded{border}"></td>', meaning)


def legend_rows(entries: Sequence[LegendEntry], room: float) -> list[list[LegendEntry]]:
    """Return the entries in rows that are no wider than the room, if each entry is not."""
    rows: list[list[LegendEntry]] = []
    for entry in entries:
        if rows and sum(each.room for each in rows[-1]) + entry.room <= room:
            rows[-1].append(entry)
        else:
            rows.append([entry])
    return rows


def legend_label(rows: Sequence[Sequence[LegendEntry]], theme: ThemeColours) -> str:
    """Return rows of entries, as many in each, as an HTML-like label."""
    texts = []
    for row in rows:
        cells = []
        for entry in row:
            words = f'<font color="{theme.muted}">{escape(replace_unprintable(entry.meaning))}</font>'
            room = entry.room - SAMPLE - ENTRY_GAP / 2  # also in a font that is wider than that of the renderer
            cells.append(f'{entry.sample}<td width="{room:.0f}" align="left">&nbsp;{words}</td>')
        texts.append(f"<tr>{''.join(cells)}</tr>")
    return f'<<table border="0" cellborder="0" cellspacing="4" cellpadding="0">{"".join(texts)}</table>>'


def layer_tooltip(network: Network, layer: PictureLayer) -> str:
    """The full story of a layer, for the pointer: name, op with every argument, type, parameters."""
    node = network.nodes[layer.nodes[0]]
    if isinstance(layer, PictureCall):
        inside = [network.nodes[index] for index in layer.inside[0]]
        total = sum(map(network.parameters, inside))
        said = f"{layer.title} {layer.note}".strip()
        return replace_unprintable(f"{said}: {len(inside)} layers give {node.output}, {total:,} parameters each")
    copies = f" and {len(layer.nodes) - 1} more" if len(layer.nodes) > 1 else ""
    return replace_unprintable(
        f"{node.name}{copies}: {node.op} gives {node.output}, {network.parameters(node):,} parameters"
    )
