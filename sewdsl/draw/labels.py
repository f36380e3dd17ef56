"""Texts in a diagram: title, legend, tooltips, and labels of layers, shapes and value ranges."""

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
from sewdsl.ir.kind import Kind, stated_fields
from sewdsl.ir.network import Network
from sewdsl.ir.printed_values import format_value
from sewdsl.ir.signal import ValueRange
from sewdsl.ops.input import Input

MAX_STATIONS = 4
"""Maximum number of values in a range that are all shown."""


def shape_range_text(shapes: Sequence[tuple[int, ...]]) -> str:
    """Format a shape, or successive shapes joined by arrows.

    >>> shape_range_text([(32, 128, 128)])
    '32×128×128'
    >>> shape_range_text([(32, 16, 16), (32, 8, 8), (32, 4, 4), (32, 2, 2), (32, 1, 1)])
    '32×(16→8→…→1)²'
    >>> shape_range_text([(32, 1, 1), (11,)])
    '32×1×1→11'
    """
    # Shapes with different numbers of axes cannot be written axis by axis.
    if len({len(shape) for shape in shapes}) > 1:
        return _join_with_arrows(["×".join(map(str, shape)) for shape in shapes])
    axes = [_join_with_arrows([str(length) for length in axis]) for axis in zip(*shapes, strict=True)]
    texts = [f"({axis})" if "→" in axis and len(axes) > 1 else axis for axis in axes]
    # Height and width with the same range are written once.
    if len(texts) > 1 and texts[-1] == texts[-2] and "→" in texts[-1]:
        texts[-2:] = [f"{texts[-1]}²"]
    return "×".join(texts)


def value_range_text(values: Sequence[ValueRange]) -> str:
    """Format the range of counts.

    Successive ranges are joined by arrows.

    >>> value_range_text([ValueRange(2)]), value_range_text([ValueRange(upper) for upper in (2, 3, 4, 5, 6)])
    ('0..2', '0..(2→3→…→6)')
    """
    range_text = _join_with_arrows(["real" if value.count is None else str(value.count) for value in values])
    return f"0..({range_text})" if "→" in range_text else f"0..{range_text}"


def _join_with_arrows(texts: Sequence[str]) -> str:
    """Join distinct successive texts by arrows, and omit the middle of long ranges."""
    texts = [key for key, _ in groupby(texts)]
    if len(texts) > MAX_STATIONS:
        texts = [*texts[:2], "…", texts[-1]]
    return "→".join(texts)


ALWAYS_SHOWN = ("", "k", "s")
"""Letters of arguments that are shown even at their defaults, as in papers: ``c32k3s1``."""
MAX_LABEL_LENGTH = 36


@dataclass(frozen=True)
class Label:
    """Label of a layer."""

    title: str
    """Compact notation with spaces: ``c32 k3 s1``."""
    details: tuple[str, ...] = ()
    """Further arguments with non-default values, one per line: ``tau = 1.5``."""


class Labels:
    """Labels of the nodes of a network."""

    def __init__(self, network: Network) -> None:
        self._ops = [node.op for node in network]
        self._inputs = dict(zip(network.input_indices, network.settings.sources, strict=True))
        self._followers = FollowerIndex(self._ops, network.graph.consumers, network.settings.steps)

    def of(self, index: int, source: str = "") -> Label:
        """Return the label of a node. ``source`` is the value that it reads, if no line shows it."""
        op = self._ops[index]
        if isinstance(op, Input):
            return Label(cut(f"input {self._inputs[index].name}".rstrip()))
        letters = {name: letter for letter, name in op.letters().items()}
        title, details = [op.kind], []
        redundant = redundant_arguments(op, Followers(self._followers, index).settled)
        for name, value in stated_fields(op):
            letter = letters.get(name)
            if value is None and letter is not None:
                continue
            # Channels, kernel and stride are always shown, as in papers. Other arguments only if they matter.
            if letter not in ALWAYS_SHOWN and name in redundant:
                continue
            if letter is None:
                details.append(_detail(name, value))
            elif letter:
                title.append(letter + _compact(value))
            else:
                title[0] += _compact(value)
        details += [cut(source)] if source else []
        return Label(cut(" ".join(title)), tuple(details))


def _detail(name: str, value: object) -> str:
    """Return the text of an argument, without the defaults of a kind if it would be too long."""
    text = f"{name} = {format_value(value)}"
    if len(text) > MAX_LABEL_LENGTH and isinstance(value, Kind):
        defaults = {key: field.default for key, field in type(value).model_fields.items()}
        changed = [f"{key}={format_value(item)}" for key, item in value if item != defaults[key]]
        text = f"{name} = {value.kind}({', '.join(changed)})"
    return cut(text)


def arguments_text(arguments: str) -> str:
    """Separate the arguments of a call by spaces.

    >>> arguments_text("c128s2"), arguments_text("c4, g=AND")
    ('c128 s2', 'c4, g=AND')
    """
    return re.sub(r"(?<=[0-9])(?=[a-z])", " ", arguments)


def call_label(call: PictureCall, *, narrow: bool) -> Label:
    """Return the label of a block drawn as a box, with the copies on a line of their own if ``narrow``."""
    title = call.title if narrow else f"{call.title} {call.note}".strip()
    details = " · ".join(filter(None, (call.note if narrow else "", arguments_text(call.arguments))))
    return Label(cut(replace_unprintable(title)), (cut(replace_unprintable(details)),) if details else ())


LONGEST_DETAIL = 18
"""Maximum length of a detail on one line of a narrow picture, in characters."""


def narrow_label(label: Label) -> Label:
    """Split long details of a label into two lines.

    >>> narrow_label(Label("LIF", ("surrogate = Sigmoid(alpha=4.0)", "tau = 1.5"))).details
    ('surrogate =', 'Sigmoid(alpha=4.0)', 'tau = 1.5')
    """
    lines: list[str] = []
    for detail in label.details:
        name, equals, value = detail.partition(" = ")
        lines += [f"{name} =", value] if equals and len(detail) > LONGEST_DETAIL else [detail]
    return replace(label, details=tuple(lines))


def _compact(value: object) -> str:
    """Format the value of an argument in compact notation."""
    # Equal height and width are written once.
    if isinstance(value, tuple):
        return "x".join(map(str, dict.fromkeys(value)))
    return str(int(value)) if isinstance(value, bool) else str(value)


def cut(text: str, length: int = MAX_LABEL_LENGTH) -> str:
    """Truncate a text to a length."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


LONGEST_NAME = 80
DETAIL = 8.5
"""Font size of layer details and notes on frames."""
NAME, FACTS = 17, 10
"""Font sizes of the two lines of a title."""
TITLE_SLACK = 1.2
"""Width of the title area relative to the text. A substitute font can be 20 % wider, and the text then grows to the
right only, since the renderer fixes its left end."""
BOLD_WIDTH_FACTOR = 1.08
"""Width of bold relative to regular letters."""


def replace_unprintable(text: str) -> str:
    """Replace all unprintable characters by U+FFFD."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def short_name(network: Network) -> str:
    """Return the name of the network, with at most 80 characters."""
    return cut(replace_unprintable(network.name).strip() or "network", LONGEST_NAME)


def network_facts(network: Network) -> str:
    """Format input, time-steps and parameters: ``input 2×128×128 · T = 16 · 130,938 parameters``."""
    shapes = ", ".join(source.size.replace("x", "×") for source in network.settings.sources)
    return f"input {shapes} · T = {network.settings.steps} · {network.total_parameters:,} parameters"


def title_room(network: Network) -> float:
    """Return the width of the title area, in points."""
    name, facts = short_name(network), network_facts(network)
    return TITLE_SLACK * max(text_width(name, NAME * BOLD_WIDTH_FACTOR), text_width(facts, FACTS))


def title_label(network: Network, theme: ThemeColours) -> str:
    """Return name and facts as an HTML-like label."""
    name, facts, room = short_name(network), network_facts(network), title_room(network)
    return (
        '<<table border="0" cellborder="0" cellspacing="2" cellpadding="0">'
        f'<tr><td width="{room:.0f}"><font point-size="{NAME}" color="{theme.ink}"><b>{escape(name)}</b></font></td>'
        "</tr>"
        f'<tr><td><font point-size="{FACTS}" color="{theme.muted}">{escape(facts)}</font></td></tr></table>>'
    )


def frame_label(title: str, note: str, room: float, theme: ThemeColours) -> str:
    """Return the texts of a frame as an HTML-like label, left-aligned in any font."""
    bold = f"<b>{escape(replace_unprintable(title))}</b>"
    note_html = (
        f'<br align="left"/><font point-size="{DETAIL:g}" color="{theme.muted}">{escape(note)}</font>' if note else ""
    )
    return (
        '<<table border="0" cellborder="0" cellspacing="0" cellpadding="2"><tr>'
        f'<td width="{room:.0f}" align="left" balign="left">{bold}{note_html}</td></tr></table>>'
    )


LEGEND, SAMPLE, ENTRY_GAP = 9.0, 18.0, 20.0
"""Font size of the legend, width of a sample, and horizontal space per entry, in points."""


@dataclass(frozen=True)
class LegendEntry:
    """Entry of the legend. The sample consists of cells of an HTML-like table."""

    sample: str
    meaning: str

    @property
    def room(self) -> float:
        """Width of the entry, in points."""
        return SAMPLE + ENTRY_GAP + text_width(self.meaning, LEGEND)


def line_entry(sample: str, colour: str, meaning: str) -> LegendEntry:
    """Return a legend entry for lines of a colour, or for dots on them."""
    return LegendEntry(f'<td><font color="{colour}"><b>{sample}</b></font></td>', meaning)


def box_entry(look: FamilyStyle, meaning: str) -> LegendEntry:
    """Return a legend entry for boxes or frames."""
    border = "" if look.border == "solid" else f",{look.border}"
    box = f'border="1" width="{SAMPLE:g}" height="9" fixedsize="true" bgcolor="{look.fill}" color="{look.edge}"'
    return LegendEntry(f'<td {box} style="rounded{border}"></td>', meaning)


def legend_rows(entries: Sequence[LegendEntry], room: float) -> list[list[LegendEntry]]:
    """Arrange legend entries in rows of at most the given width."""
    rows: list[list[LegendEntry]] = []
    for entry in entries:
        if rows and sum(each.room for each in rows[-1]) + entry.room <= room:
            rows[-1].append(entry)
        else:
            rows.append([entry])
    return rows


def legend_label(rows: Sequence[Sequence[LegendEntry]], theme: ThemeColours) -> str:
    """Return rows of legend entries as an HTML-like label."""
    texts = []
    for row in rows:
        cells = []
        for entry in row:
            meaning_html = f'<font color="{theme.muted}">{escape(replace_unprintable(entry.meaning))}</font>'
            room = entry.room - SAMPLE - ENTRY_GAP / 2  # A fixed width: the viewer's font may be wider.
            cells.append(f'{entry.sample}<td width="{room:.0f}" align="left">&nbsp;{meaning_html}</td>')
        texts.append(f"<tr>{''.join(cells)}</tr>")
    return f'<<table border="0" cellborder="0" cellspacing="4" cellpadding="0">{"".join(texts)}</table>>'


def layer_tooltip(network: Network, layer: PictureLayer) -> str:
    """Return the tooltip of a layer: name, operation with all arguments, output signal and parameters."""
    node = network.nodes[layer.nodes[0]]
    # The nodes of a call are its outputs only.
    if isinstance(layer, PictureCall):
        inside = [network.nodes[index] for index in layer.inside[0]]
        total = sum(map(network.parameters, inside))
        call_text = f"{layer.title} {layer.note}".strip()
        return replace_unprintable(f"{call_text}: {len(inside)} layers output {node.output}, {total:,} parameters each")
    copies = f" and {len(layer.nodes) - 1} more" if len(layer.nodes) > 1 else ""
    return replace_unprintable(
        f"{node.name}{copies}: {node.op} outputs {node.output}, {network.parameters(node):,} parameters"
    )
