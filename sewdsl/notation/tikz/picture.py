"""One picture: boxes from top to bottom, each placed below what it reads, so that TeX finds the places.

Nodes are named after their kinds, ``conv1``, for an author who adds to a picture; colours and styles are defined once,
in front of all pictures, for an author who changes them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
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
    first_node,
    item_text,
    walk_items,
)
from sewdsl.notation.latex import tex
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
    """The style of a layer's box."""
    return f"sew {layer_style(op).name}"


def style_preamble() -> str:
    """What all pictures need: the colours of the drawings of ``sewdsl draw``, and the styles."""
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
"""Millimetres: height of a box, between boxes, after a fork, from a side to its join, across a join."""
ARC, SIDE, ALONE = 5.0, 6.0, 12.0
"""Millimetres from a branch to the arc and to the boxes of the shortcut; from where there is no branch to the arc."""
NARROWEST, BESIDE, SIZE, SERIF = 19.0, 4.0, 9.0, 0.9 * 25.4 / 72
"""Of the boxes of a picture: least width and margins in millimetres, size of the text in points; millimetres in a point
of a line of text, of which one with serifs needs less."""
SYMBOLS = {"ADD": "$+$", "AND": r"$\wedge$", "IAND": r"$\wedge$"}
"""What is in the circle of a join, if not its name."""
NEGATED_JOINS = frozenset({"IAND"})
"""The joins whose branch ends in the small circle of a negation."""


class Signals(NamedTuple):
    """What a block's signals are called.

    Attributes:
        branch: What the branch of its join gives, if that is spikes.
    """

    read: str
    branch: str
    given: str


SPIKES = Signals("S^l[t]", "A^l[t]", "O^l[t]")
"""Of Figure 1(b) and (c)."""
REALS = Signals("X^l", "", "Y^l")
"""Of Figure 1(a)."""


class _Start(NamedTuple):
    """Where the next node goes.

    Attributes:
        place: ``below=of bn1``.
        way: ``(bn1) --``.
    """

    node: str
    place: str
    way: str

    @classmethod
    def below(cls, node: str, note: str = "") -> _Start:
        """Below a node, perhaps with a note at the line."""
        label = f" node[sew note, right] {{{note}}}" if note else ""
        return cls(node, f"below=of {node}", f"({node}) --{label}")


class Picture:
    """Writes one picture."""

    def __init__(
        self,
        network: Network,
        items: TextItems,
        texts: Mapping[int, BoxText],
        first_copy_note: Callable[[RepeatText], str] = lambda _: "",
    ) -> None:
        self._first_copy_note = first_copy_note
        self._nodes, self._network, self._items, self._texts = network.nodes, network, items, texts
        longest = max((text_width(self._text(box).plain, SIZE) * SERIF for box in drawn_boxes(items)), default=0.0)
        self._width = round(max(NARROWEST, longest + BESIDE))
        self._lines: list[str] = []
        self._edges: list[str] = []
        self._names: Counter[str] = Counter()
        self._inside: list[str] = []
        self._shape: tuple[int, ...] | None = None
        self._framed: Signals | None = None

    def block(self, caption: str) -> str:
        """The items as what a block is made of."""
        signals = SPIKES if any(map(_spikes, walk_items(self._items))) else REALS
        if sum(isinstance(item, MergeText) and item.is_join for item in self._items) == 1:
            self._framed = signals
        return self._whole(f"${signals.read}$", f"${signals.given}$", caption)

    def value(self, name: str) -> str:
        """The items as what a named value is made of."""
        return self._whole(f"Input {_size(self._nodes[0].output.shape)}", name, "")

    def net(self, caption: str) -> str:
        """The items as a whole network, with shapes where they change."""
        self._shape = self._nodes[0].output.shape
        given = self._nodes[self._network.output].output.shape
        return self._whole(f"Input {_size(self._shape)}", f"Output {_size(given)}", caption)

    def _whole(self, read: str, given: str, caption: str) -> str:
        items = self._items
        first = items[0] if items else None
        if isinstance(first, ReadText):  # it is what comes in
            items, read = items[1:], self._name_of(first)
        alone = first is not None and _is_alone(first)
        self._lines.append(r"\coordinate (in);" if alone else rf"\node[sew signal] (in) {{{read}}};")
        end = self._flow(items, _Start.below("in"), None)
        self._lines.append(rf"\node[sew signal, {end.place}] (out) {{{given}}};")
        self._edges.append(rf"\draw[sew line] {end.way} (out);")
        below = rf"\node[sew caption, anchor=north] at (current bounding box.south) {{{caption}}};"
        lines = "\n  ".join([*self._lines, *self._edges, below])
        wide = f"sew layer/.append style={{minimum width={self._width}mm}}"
        return f"\\begin{{tikzpicture}}[sew, {wide}]\n  {lines}\n\\end{{tikzpicture}}\n"

    def _flow(self, items: TextItems, start: _Start, gives: int | None) -> _Start:
        """Writes a sequence; what follows it starts at the end that is returned.

        Args:
            gives: The node whose output the sequence gives; None: that is not to be noted.
        """
        for item, following in zip_longest(items, items[1:]):
            source = self._nodes[first_node(following)].sources[0] if following else gives
            start = _Start.below(self._item(item, start), self._note(source))
        return start

    def _note(self, source: int | None) -> str:
        """The shape of what a node gives, if it is another than was last said."""
        if self._shape is None or source is None or self._nodes[source].output.shape == self._shape:
            return ""
        self._shape = self._nodes[source].output.shape
        return _size(self._shape)

    def _item(self, item: TextItem, start: _Start) -> str:
        """Writes an item; the name of the node that gives its output."""
        match item:
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
            case ReadText():
                name = self._name("value")
                self._inside.append(name)
                self._lines.append(rf"\node[sew signal, {start.place}] ({name}) {{{self._name_of(item)}}};")
                return name
        raise AssertionError(f"a network begins with its named values, not with {item}")

    def _name_of(self, value: ReadText) -> str:
        return BoxText.of(value.name).source

    def _text(self, box: LayerText | BlockText) -> BoxText:
        return self._texts[first_node(box)]

    def _box(self, stem: str, style: str, text: BoxText, start: _Start) -> str:
        name = self._name(stem)
        self._inside.append(name)
        self._lines.append(rf"\node[{style}, {start.place}] ({name}) {{{text.source}}};")
        self._edges.append(rf"\draw[sew line] {start.way} ({name});")
        return name

    def _repeat(self, repeat: RepeatText, start: _Start) -> str:
        """Writes one copy, and a brace that says how many there are; shapes differ from copy to copy."""
        (outer, self._inside), (shape, self._shape) = (self._inside, []), (self._shape, None)
        last = self._flow(repeat.items, start, None).node
        self._shape = shape
        extent = self._extent("repeat", "sew extent")
        times = self._name("times")
        low, high = (f"([xshift=-1.5mm]{extent}.{corner} west)" for corner in ("south", "north"))
        label = rf"node[left=1.5mm] ({times}) {{$\times{repeat.count}$}}"
        self._lines.append(rf"\draw[sew brace] {low} -- {label} {high};")
        self._inside = [*outer, *self._inside, times]
        said = self._first_copy_note(repeat)
        if said:
            note = self._name("note")
            place = f"anchor=north east, align=right] ({note}) at ({times}.south east)"
            self._lines.append(rf"\node[sew note, {place} {{{BoxText.of(said).source}}};")
            self._inside.append(note)
        return last

    def _merge(self, merge: MergeText, start: _Start) -> str:
        """Writes the operands from left to right, and the circle where they meet; a box, if it is no join."""
        fork = self._name("fork")
        self._lines.append(rf"\coordinate[{start.place}] ({fork});")
        if not _is_alone(merge):
            self._edges.append(rf"\draw[sew stem] {start.way} ({fork});")
        outer, self._inside = self._inside, []
        framed, self._framed = (self._framed, None) if merge.is_join else (None, self._framed)
        first, *others = zip(merge.operands, self._nodes[merge.node].inputs, strict=True)
        begin = _Start(fork, f"below={LEAD:g}mm of {fork}", f"({fork}) --")
        a = self._flow(first[0], begin, first[1])
        edge = self._branch(framed) if first[0] else fork
        sides = []
        for operand, gives in others:
            sides.append(self._side(merge, operand, fork, edge, gives))
            if len(sides) < len(others):
                edge = self._extent("extent", "sew extent")
        circle = self._name(_stem(merge.op.key))
        place = f", below={TO_JOIN:g}mm of {a.node}] ({circle})"
        longest = max(range(len(merge.operands)), key=lambda which: (self._length(merge.operands[which]), -which))
        if longest:
            place = f", anchor=north] ({circle}) at ([yshift=-{TO_JOIN:g}mm]{sides[longest - 1].node}.south -| {fork})"
        joins = isinstance(merge.op, Join)
        symbol = SYMBOLS.get(merge.op.kind, BoxText.of(merge.op.kind if joins else merge.name).source)
        look = "sew join" if joins else f"sew layer, {style_of(merge.op)}"
        self._lines.append(rf"\node[{look}{place} {{{symbol}}};")
        style = "sew negated" if merge.op.kind in NEGATED_JOINS else "sew line"
        spikes = framed and framed.branch and first[0] and _spikes(first[0][-1])
        label = rf" node[sew note, right, pos=0.7] {{${framed.branch}$}}" if framed and spikes else ""
        self._edges.append(rf"\draw[{style}] {a.way}{label} ({circle});")
        self._edges += [rf"\draw[sew line] {side.way} ({circle});" for side in sides]
        self._inside = [*outer, fork, *self._inside, circle]
        return circle

    def _loop(self, loop: MergeText, delay: int, start: _Start) -> str:
        """Writes the sum and the body from top to bottom, and the feedback next to it from bottom to top."""
        outer, self._inside = self._inside, []
        body, feedback = loop.operands
        circle = self._name("loop")
        self._lines.append(rf"\node[sew join, {start.place}] ({circle}) {{{SYMBOLS['ADD']}}};")
        self._edges.append(rf"\draw[sew line] {start.way} ({circle});")
        self._inside.append(circle)
        last = self._flow(body, _Start.below(circle), None)
        extent, corner, fork = self._extent("extent", "sew extent"), self._name("side"), self._name("fork")
        east = f"{extent}.east |- {circle}"
        self._lines.append(rf"\coordinate ({corner}) at ([xshift={SIDE + self._width / 2:g}mm]{east});")
        boxes = [LayerText(self._nodes[delay].op.kind, self._nodes[delay].op, delay), *feedback]
        above, place = "", f"below={LEAD:g}mm of {corner}"
        for item in reversed(boxes):
            name = self._name(_stem(item.op.key) if isinstance(item, LayerText) else "block")
            look = style_of(item.op) if isinstance(item, LayerText) else BLOCK_STYLE
            known = isinstance(item, LayerText | BlockText) and item is not boxes[0]
            text = self._text(item) if known else BoxText.of(item_text(item))  # type: ignore[arg-type]
            self._lines.append(rf"\node[{look}, {place}] ({name}) {{{text.source}}};")
            self._edges.append(rf"\draw[sew line] ({name}) {'--' if above else '|-'} ({above or circle});")
            self._inside.append(name)
            above, place = name, f"below=of {name}"
        end = f"below={LEAD:g}mm of {last.node}"
        if LEAD + self._length(tuple(boxes)) > JOIN / 2 + bool(body) * GAP + self._length(body):
            end = f"at ([yshift=-{LEAD:g}mm]{above}.south -| {circle})"
        self._lines.append(
            rf"\coordinate ({fork}) {end};" if end.startswith("at") else rf"\coordinate[{end}] ({fork});"
        )
        self._edges.append(rf"\draw[sew stem] {last.way} ({fork});")
        self._edges.append(rf"\draw[sew line] ({fork}) -| ({above});")
        self._inside = [*outer, *self._inside, fork]
        return fork

    def _branch(self, framed: Signals | None) -> str:
        """What the shortcut passes by on its way: everything of the branch; a frame in the picture of a block."""
        extent = self._extent("branch", "sew branch" if framed else "sew extent")
        if framed:
            label = self._name("function")
            text = rf"$\mathcal{{F}}^l({framed.read})$"
            self._lines.append(rf"\node[sew note, rotate=90, anchor=south] ({label}) at ({extent}.west) {{{text}}};")
            self._inside += [extent, label]
        return extent

    def _side(self, merge: MergeText, operand: TextItems, fork: str, edge: str, gives: int) -> _Start:
        """Writes another operand than the first, next to the middle of that; an arc, if it is the identity."""
        first = merge.operands[0]
        corner = self._name("side" if operand else "arc")
        if not operand:
            away = f"xshift={ARC:g}mm]{edge}.east" if edge != fork else f"shift={{({ALONE:g}mm, {-LEAD:g}mm)}}]{fork}"
            self._lines.append(rf"\coordinate ({corner}) at ([{away});")
            self._inside.append(corner)
            return _Start(corner, "", f"({fork}) -| ({corner}) |-")
        east = f"{edge}.east |- {fork}" if edge != fork else fork
        self._lines.append(rf"\coordinate ({corner}) at ([xshift={SIDE + self._width / 2:g}mm]{east});")
        drop = LEAD + max(0, (self._length(first) - self._length(operand)) / 2)
        start = _Start(fork, f"below={drop:g}mm of {corner}", f"({fork}) -|")
        end = self._flow(operand, start, gives)
        return end._replace(way=end.way.replace("--", "|-", 1))

    def _length(self, items: TextItems) -> float:
        """About how long a sequence is, in millimetres."""
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
        """A node around everything since the last look."""
        name = self._name(stem)
        self._lines.append(rf"\node[{style}, fit={' '.join(f'({inner})' for inner in self._inside)}] ({name}) {{}};")
        return name

    def _name(self, stem: str) -> str:
        self._names[stem] += 1
        return f"{stem}{self._names[stem]}"


def _is_alone(item: TextItem) -> bool:
    """Whether nothing flows into an item: it is a merge of sequences that begin with named values."""
    return (
        isinstance(item, MergeText)
        and item.delay is None
        and all(operand and (isinstance(operand[0], ReadText) or _is_alone(operand[0])) for operand in item.operands)
    )


def _stem(key: str) -> str:
    """What TikZ takes in a node's name, of anybody's key."""
    return re.sub("[^a-z]", "", key.lower()) or "layer"


def _size(shape: tuple[int, ...]) -> str:
    return tex("×".join(map(str, shape)))


def _spikes(item: TextItem) -> bool:
    return isinstance(item, LayerText) and isinstance(item.op, Spiking)
