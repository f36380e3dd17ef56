"""TikZ source of one picture: boxes from top to bottom, placed relative to each other.

TikZ nodes are named after their kinds, e.g. ``conv1``, so that authors can add to a picture. Colours and styles are
defined once, before all pictures.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from typing import NamedTuple

from sewdsl.draw.geometry import text_width
from sewdsl.draw.style import BLOCK, FAMILIES, OTHER, FamilyStyle, layer_style
from sewdsl.ir.network import Network
from sewdsl.ir.op import Join, Op, Spiking
from sewdsl.notation.item_text import (
    BlockText,
    LayerText,
    MergeText,
    ReadText,
    RepeatText,
    TextItem,
    TextItems,
    child_sequences,
    first_node,
    item_text,
    walk_items,
)
from sewdsl.notation.latex import tex
from sewdsl.notation.part_calls import CalledPart, PartOperand, is_call
from sewdsl.notation.tikz.boxes import BoxText, drawn_boxes

LIBRARIES = "arrows.meta, calc, decorations.pathreplacing, fit, positioning"
BLOCK_STYLE = f"sew {BLOCK.name}"
STYLES = r"""
  sew/.style={node distance=4mm, line width=0.5pt, font=\small, >={Stealth[length=1.6mm, width=1.3mm]}},
  sew layer/.style={draw, rounded corners=1.5pt, minimum height=5mm, inner xsep=1.5mm, inner ysep=0.6mm, align=center},
  sew join/.style={draw, circle, minimum size=5mm, inner sep=0.2mm},
  sew signal/.style={inner sep=0.6mm, align=center},
  sew note/.style={font=\scriptsize, inner sep=0.8mm, text=black!70},
  sew caption/.style={align=center, inner ysep=2mm},
  sew branch/.style={draw=black!45, dashed, rounded corners=2pt, inner sep=1.8mm},
  sew extent/.style={inner sep=0pt},
  sew stem/.style={rounded corners=2mm},
  sew line/.style={sew stem, ->},
  sew negated/.style={sew stem, -{Circle[open, length=1.6mm]}},
  sew brace/.style={decorate, decoration={brace, amplitude=1.5mm}},
"""
_FAMILIES: tuple[FamilyStyle, ...] = (*(look for classes, look in FAMILIES if Join not in classes), OTHER, BLOCK)


def style_of(op: Op) -> str:
    """Return the TikZ style of the box of a layer."""
    return BLOCK_STYLE if is_call(op) else f"sew {layer_style(op).name}"


def style_preamble() -> str:
    """Return the definitions of colours, as in ``sewdsl draw``, and styles for all pictures."""
    colours = "".join(
        f"\\definecolor{{sew-{look.name}}}{{HTML}}{{{look.fill[1:]}}}\n"
        f"\\definecolor{{sew-{look.name}-edge}}{{HTML}}{{{look.edge[1:]}}}\n"
        for look in _FAMILIES
    )
    boxes = "".join(
        f"  sew {look.name}/.style={{sew layer, fill=sew-{look.name}, draw=sew-{look.name}-edge}},\n"
        for look in _FAMILIES
    )
    block = f"  {BLOCK_STYLE}/.append style={{draw=black!60, line width=0.8pt}},\n"
    return f"{colours}\\tikzset{{{STYLES}{boxes}{block}}}\n"


BOX, GAP, LEAD, TO_JOIN, JOIN = 5.0, 4.0, 5.0, 8.0, 5.0
"""Lengths in mm: height of a box, gap between boxes, lead after a fork, distance to a join, diameter of a join."""
ARC, SIDE, ALONE, BRACE = 5.0, 6.0, 12.0, 8.0
"""Distances in mm from the branch to the arc and to the boxes of the shortcut, and to the arc without a branch. Width
of the brace of a repeat with its number."""
NARROWEST, BESIDE, SIZE, SERIF = 19.0, 4.0, 9.0, 0.9 * 25.4 / 72
"""Smallest width and margins of a box in mm, font size in pt, and mm per pt of text width. Serif fonts are narrower
than the measured font."""
SYMBOLS = {"ADD": "$+$", "AND": r"$\wedge$", "IAND": r"$\wedge$"}
"""Symbols in the circles of joins. Other joins show their names."""
NEGATED_JOINS = frozenset({"IAND"})
"""Joins whose branch ends in the small circle of a negation."""


class Signals(NamedTuple):
    """Names of the signals of a block."""

    read: str
    """Input."""
    branch: str
    """Output of the branch, empty unless it has spikes."""
    output: str
    """Output."""


SPIKES = Signals("S^l[t]", "A^l[t]", "O^l[t]")
"""Signals of Figure 1(b) and (c)."""
REALS = Signals("X^l", "", "Y^l")
"""Signals of Figure 1(a)."""


class _Start(NamedTuple):
    """Position and incoming edge of the next node."""

    node: str
    """Name of the previous node."""
    position: str
    """Option of the next node, e.g. ``below=of bn1``."""
    edge: str
    """First part of the edge, e.g. ``(bn1) --``."""

    @classmethod
    def below(cls, node: str, note: str = "") -> _Start:
        """Return a position below a node, with an optional note at the edge."""
        label = f" node[sew note, right] {{{note}}}" if note else ""
        return cls(node, f"below=of {node}", f"({node}) --{label}")


class Picture:
    """Writer of one picture.

    Args:
        texts: Texts of the boxes by first node.
    """

    def __init__(
        self,
        network: Network,
        items: TextItems,
        texts: Mapping[int, BoxText],
        first_copy_note: Callable[[RepeatText], str] = lambda _: "",
    ) -> None:
        self._first_copy_note = first_copy_note
        self._nodes, self._network, self._items, self._texts = network.nodes, network, items, texts
        texts_in_boxes = [*(self._text(box).plain for box in drawn_boxes(items)), *_names_of_merges(items)]
        longest = max((text_width(text, SIZE) * SERIF for text in texts_in_boxes), default=0.0)
        self._width = round(max(NARROWEST, longest + BESIDE))
        self._lines: list[str] = []
        self._edges: list[str] = []
        self._names: Counter[str] = Counter()
        self._inside: list[str] = []
        self._shape: tuple[int, ...] | None = None
        self._framed: Signals | None = None

    def block(self, caption: str) -> str:
        """Draw the items as the body of a block."""
        signals = SPIKES if any(map(_spikes, walk_items(self._items))) else REALS
        if sum(isinstance(item, MergeText) and item.is_join for item in self._items) == 1:
            self._framed = signals
        return self._tikzpicture(f"${signals.read}$", f"${signals.output}$", caption)

    def value(self, name: str) -> str:
        """Draw the items as the body of a named value."""
        return self._tikzpicture(f"Input {_size(self._nodes[0].output.shape)}", name, "")

    def net(self, caption: str) -> str:
        """Draw the items as a network, with shapes where they change."""
        self._shape = self._nodes[0].output.shape
        output_shape = self._nodes[self._network.output].output.shape
        return self._tikzpicture(f"Input {_size(self._shape)}", f"Output {_size(output_shape)}", caption)

    def _tikzpicture(self, input_text: str, output_text: str, caption: str) -> str:
        items = self._items
        first = items[0] if items else None
        if isinstance(first, ReadText):  # The named value is the input of the picture.
            items, input_text = items[1:], self._name_of(first)
        alone = first is not None and _is_alone(first)
        self._lines.append(r"\coordinate (in);" if alone else rf"\node[sew signal] (in) {{{input_text}}};")
        end = self._flow(items, _Start.below("in"), None)
        self._lines.append(rf"\node[sew signal, {end.position}] (out) {{{output_text}}};")
        self._edges.append(rf"\draw[sew line] {end.edge} (out);")
        # Edges follow all nodes, since they refer to nodes by name; the caption follows both.
        caption_node = rf"\node[sew caption, anchor=north] at (current bounding box.south) {{{caption}}};"
        lines = "\n  ".join([*self._lines, *self._edges, caption_node])
        box_width = f"sew layer/.append style={{minimum width={self._width}mm}}"
        return f"\\begin{{tikzpicture}}[sew, {box_width}]\n  {lines}\n\\end{{tikzpicture}}\n"

    def _flow(self, items: TextItems, start: _Start, output: int | None) -> _Start:
        """Draw a sequence, note the shape of ``output`` if it is a node, and return the start of the items after it."""
        for item, following in zip_longest(items, items[1:]):
            source = self._nodes[first_node(following)].sources[0] if following else output
            start = _Start.below(self._item(item, start), self._note(source))
        return start

    def _note(self, source: int | None) -> str:
        """Return the output shape of a node, or an empty text if it equals the last noted shape."""
        if self._shape is None or source is None or self._nodes[source].output.shape == self._shape:
            return ""
        self._shape = self._nodes[source].output.shape
        return _size(self._shape)

    def _item(self, item: TextItem, start: _Start) -> str:
        """Draw an item, and return the name of its output node."""
        match item:
            case ReadText():
                return self._value(self._name_of(item), start)
            case LayerText(op=PartOperand(title=title) as op) if not isinstance(op, CalledPart):
                return self._value(BoxText.of(title).source, start)
            case LayerText(op=op):
                return self._box(_stem(op.key), style_of(op), self._text(item), start)
            case BlockText():
                return self._box("block", BLOCK_STYLE, self._text(item), start)
            case RepeatText():
                return self._repeat(item, start)
            case MergeText(delay=int() as delay):
                return self._loop(item, delay, start)
            case MergeText():
                return self._merge(item, start)
        raise AssertionError(f"unexpected item in a body: {item}")

    def _value(self, text: str, start: _Start) -> str:
        """Draw the name of a value, without an incoming edge."""
        name = self._name("value")
        self._inside.append(name)
        self._lines.append(rf"\node[sew signal, {start.position}] ({name}) {{{text}}};")
        return name

    def _name_of(self, value: ReadText) -> str:
        return BoxText.of(value.name).source

    def _text(self, box: LayerText | BlockText) -> BoxText:
        return self._texts[first_node(box)]

    def _box(self, stem: str, style: str, text: BoxText, start: _Start) -> str:
        name = self._name(stem)
        self._inside.append(name)
        self._lines.append(rf"\node[{style}, {start.position}] ({name}) {{{text.source}}};")
        self._edges.append(rf"\draw[sew line] {start.edge} ({name});")
        return name

    def _repeat(self, repeat: RepeatText, start: _Start) -> str:
        """Draw one copy, and a brace with the number of copies."""
        # Shapes differ between copies, so none are noted inside.
        (outer, self._inside), (shape, self._shape) = (self._inside, []), (self._shape, None)
        last = self._flow(repeat.items, start, None).node
        self._shape = shape
        extent = self._extent("repeat", "sew extent")
        times = self._name("times")
        low, high = (f"([xshift=-1.5mm]{extent}.{corner} west)" for corner in ("south", "north"))
        label = rf"node[left=1.5mm] ({times}) {{$\times{repeat.count}$}}"
        self._lines.append(rf"\draw[sew brace] {low} -- {label} {high};")
        self._inside = [*outer, *self._inside, times]
        note_text = self._first_copy_note(repeat)
        if note_text:
            note = self._name("note")
            options = f"anchor=north east, align=right] ({note}) at ({times}.south east)"
            self._lines.append(rf"\node[sew note, {options} {{{BoxText.of(note_text).source}}};")
            self._inside.append(note)
        return last

    def _merge(self, merge: MergeText, start: _Start) -> str:
        """Draw the operands from left to right, and the circle of a join or the box of another merge below."""
        fork = self._name("fork")
        self._lines.append(rf"\coordinate[{start.position}] ({fork});")
        if not _is_alone(merge):
            self._edges.append(rf"\draw[sew stem] {start.edge} ({fork});")
        outer, self._inside = self._inside, []
        # Only the outermost join of a block has a frame.
        framed, self._framed = (self._framed, None) if merge.is_join else (None, self._framed)
        first, *others = zip(merge.operands, self._nodes[merge.node].inputs, strict=True)
        below_fork = _Start(fork, f"below={LEAD:g}mm of {fork}", f"({fork}) --")
        branch_end = self._flow(first[0], below_fork, first[1])
        left = self._branch(framed) if first[0] else fork
        sides = []
        for operand, source in others:
            sides.append(self._side(merge, operand, fork, left, source))
            if len(sides) < len(others):
                left = self._extent("extent", "sew extent")
        circle = self._name(_stem(merge.op.key))
        position = f", below={TO_JOIN:g}mm of {branch_end.node}] ({circle})"
        # The circle is below the longest operand, so that no edge points upwards.
        longest = max(range(len(merge.operands)), key=lambda index: (self._length(merge.operands[index]), -index))
        if longest:
            end = f"{sides[longest - 1].node}.south -| {fork}"
            position = f", anchor=north] ({circle}) at ([yshift=-{TO_JOIN:g}mm]{end})"
        is_join = isinstance(merge.op, Join)
        symbol = SYMBOLS.get(merge.op.kind, BoxText.of(merge.op.kind if is_join else merge.name).source)
        node_style = "sew join" if is_join else f"sew layer, {style_of(merge.op)}"
        self._lines.append(rf"\node[{node_style}{position} {{{symbol}}};")
        edge_style = "sew negated" if merge.op.kind in NEGATED_JOINS else "sew line"
        spikes = framed and framed.branch and first[0] and _spikes(first[0][-1])
        label = rf" node[sew note, right, pos=0.7] {{${framed.branch}$}}" if framed and spikes else ""
        self._edges.append(rf"\draw[{edge_style}] {branch_end.edge}{label} ({circle});")
        self._edges += [rf"\draw[sew line] {side.edge} ({circle});" for side in sides]
        self._inside = [*outer, fork, *self._inside, circle]
        return circle

    def _loop(self, loop: MergeText, delay: int, start: _Start) -> str:
        """Draw the sum and the body from top to bottom, and the feedback next to them from bottom to top."""
        outer, self._inside = self._inside, []
        body, feedback = loop.operands
        circle = self._name("loop")
        self._lines.append(rf"\node[sew join, {start.position}] ({circle}) {{{SYMBOLS['ADD']}}};")
        self._edges.append(rf"\draw[sew line] {start.edge} ({circle});")
        self._inside.append(circle)
        last = self._flow(body, _Start.below(circle), None)
        extent, corner, fork = self._extent("extent", "sew extent"), self._name("side"), self._name("fork")
        east = f"{extent}.east |- {circle}"
        self._lines.append(rf"\coordinate ({corner}) at ([xshift={SIDE + self._width / 2:g}mm]{east});")
        boxes = [LayerText(self._nodes[delay].op.kind, self._nodes[delay].op, delay), *feedback]
        above, position = "", f"below={LEAD:g}mm of {corner}"
        for item in reversed(boxes):
            name = self._name(_stem(item.op.key) if isinstance(item, LayerText) else "block")
            style = style_of(item.op) if isinstance(item, LayerText) else BLOCK_STYLE
            # The delay has no text of its own: it is part of the loop.
            has_text = isinstance(item, LayerText | BlockText) and item is not boxes[0]
            text = self._text(item) if has_text else BoxText.of(item_text(item))  # type: ignore[arg-type]
            self._lines.append(rf"\node[{style}, {position}] ({name}) {{{text.source}}};")
            self._edges.append(rf"\draw[sew line] ({name}) {'--' if above else '|-'} ({above or circle});")
            self._inside.append(name)
            above, position = name, f"below=of {name}"
        # The fork is below the longer of body and feedback.
        end = f"below={LEAD:g}mm of {last.node}"
        if LEAD + self._length(tuple(boxes)) > JOIN / 2 + bool(body) * GAP + self._length(body):
            end = f"at ([yshift=-{LEAD:g}mm]{above}.south -| {circle})"
        self._lines.append(
            rf"\coordinate ({fork}) {end};" if end.startswith("at") else rf"\coordinate[{end}] ({fork});"
        )
        self._edges.append(rf"\draw[sew stem] {last.edge} ({fork});")
        self._edges.append(rf"\draw[sew line] ({fork}) -| ({above});")
        self._inside = [*outer, *self._inside, fork]
        return fork

    def _branch(self, framed: Signals | None) -> str:
        """Draw a node around the branch, as a frame in the picture of a block, and return its name."""
        extent = self._extent("branch", "sew branch" if framed else "sew extent")
        if framed:
            label = self._name("function")
            text = rf"$\mathcal{{F}}^l({framed.read})$"
            self._lines.append(rf"\node[sew note, rotate=90, anchor=south] ({label}) at ({extent}.west) {{{text}}};")
            self._inside += [extent, label]
        return extent

    def _side(self, merge: MergeText, operand: TextItems, fork: str, left: str, source: int) -> _Start:
        """Draw an operand to the right of the previous ones, or an arc for the identity, and return its end.

        Args:
            left: Node around the previous operands, or the fork.
            source: Node of the output of the operand.
        """
        first = merge.operands[0]
        corner = self._name("side" if operand else "arc")
        if not operand:
            # The arc passes the circle of a join, or the box of another merge.
            alone = ALONE if isinstance(merge.op, Join) else self._width / 2 + ARC
            offset = f"xshift={ARC:g}mm]{left}.east" if left != fork else f"shift={{({alone:g}mm, {-LEAD:g}mm)}}]{fork}"
            self._lines.append(rf"\coordinate ({corner}) at ([{offset});")
            self._inside.append(corner)
            return _Start(corner, "", f"({fork}) -| ({corner}) |-")
        east = f"{left}.east |- {fork}" if left != fork else fork
        shift = SIDE + self._width / 2 + BRACE * any(isinstance(item, RepeatText) for item in walk_items(operand))
        self._lines.append(rf"\coordinate ({corner}) at ([xshift={shift:g}mm]{east});")
        # Centre a shorter operand next to the branch.
        drop = LEAD + max(0, (self._length(first) - self._length(operand)) / 2)
        start = _Start(fork, f"below={drop:g}mm of {corner}", f"({fork}) -|")
        end = self._flow(operand, start, source)
        # The last edge must turn towards the circle, which is below the branch.
        return end._replace(edge=end.edge.replace("--", "|-", 1))

    def _length(self, items: TextItems) -> float:
        """Return the approximate height of a sequence in mm."""
        lengths = [self._length_of(item) for item in items]
        return sum(lengths) + GAP * max(0, len(lengths) - 1)

    def _length_of(self, item: TextItem) -> float:
        match item:
            case RepeatText(inner, _):
                return self._length(inner)
            case MergeText(operands=(body, feedback), delay=int()):
                back = LEAD + BOX + len(feedback) * (GAP + BOX)
                return JOIN + max(back, bool(body) * GAP + self._length(body)) + LEAD
            case MergeText(_, operands):
                return LEAD + max(map(self._length, operands)) + TO_JOIN + JOIN
            case _:
                return BOX

    def _extent(self, stem: str, style: str) -> str:
        """Draw a node around all nodes in ``_inside``, and return its name."""
        name = self._name(stem)
        self._lines.append(rf"\node[{style}, fit={' '.join(f'({inner})' for inner in self._inside)}] ({name}) {{}};")
        return name

    def _name(self, stem: str) -> str:
        self._names[stem] += 1
        return f"{stem}{self._names[stem]}"


def _names_of_merges(items: TextItems) -> Iterator[str]:
    """Yield the texts in the boxes of merges."""
    for item in items:
        if isinstance(item, MergeText) and item.delay is None and not isinstance(item.op, Join):
            yield item.name
        if isinstance(item, MergeText | RepeatText):
            for inner in child_sequences(item):
                yield from _names_of_merges(inner)


def _is_alone(item: TextItem) -> bool:
    """Return whether an item has no input: a merge of sequences that all begin with named values."""
    return (
        isinstance(item, MergeText)
        and item.delay is None
        and all(operand and (isinstance(operand[0], ReadText) or _is_alone(operand[0])) for operand in item.operands)
    )


def _stem(key: str) -> str:
    """Return the letters of a key, which are valid in the name of a TikZ node."""
    return re.sub("[^a-z]", "", key.lower()) or "layer"


def _size(shape: tuple[int, ...]) -> str:
    return tex("×".join(map(str, shape)))


def _spikes(item: TextItem) -> bool:
    return isinstance(item, LayerText) and isinstance(item.op, Spiking)
