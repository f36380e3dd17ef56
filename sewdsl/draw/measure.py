"""How much room each part of a picture takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple, TypeVar

from sewdsl.draw.geometry import text_width
from sewdsl.draw.labels import (
    BOLD_WIDTH_FACTOR,
    DETAIL,
    Label,
    Labels,
    arguments_text,
    call_label,
    cut,
    narrow_label,
    shape_range_text,
    value_range_text,
)
from sewdsl.draw.lanes import Lanes
from sewdsl.draw.picture_items import (
    PictureBlock,
    PictureCall,
    PictureItem,
    PictureItems,
    PictureLayer,
    PictureLoop,
    PictureMerge,
    PictureReadout,
    PictureRepeat,
    Wiring,
    copies_text,
    drawn_layers,
    entry_layer,
    exit_layer,
    framed_items,
)
from sewdsl.draw.style import BLOCK, FOLD, FOLDED_BLOCK, VALUE, FamilyStyle
from sewdsl.ir.op import Neuron

TEXT, SMALL = 11.0, 9.0
"""Font sizes: of a layer, of a label on an edge."""
HEIGHT, LINE, JOIN, GAP, PAD, LEAD, LANE, LABEL_GAP, BAR = 22.0, 10.0, 35.0, 15.0, 10.0, 14.0, 15.0, 8.0, 14.0
"""Of a box, a line of details, a join's circle; between boxes, inside a frame, after a fork, of an arc, of a label, and
of a bar beyond the outermost operands."""
TITLE_GAP = 3.0
"""Between the line that enters a frame and the words on the frame, which have room around them themselves."""
BETWEEN = 46.0
"""The room between two columns."""
NARROW_HEIGHT, NARROW_GAP, NARROW_BETWEEN = 19.0, 11.0, 34.0
"""The height of a box, the gap between two, and the room between two columns, in a narrow picture."""
LONGEST_DIFFERENCE = 48
"""Characters of what is said of a difference."""
VALUE_LANE, ROW, TO_ROW, FROM_ROW = 12.0, 9.0, 7.0, 12.0
"""The width of the lane of a value; distances of lines that lead to and from lanes: of two, after a box, before one."""

Part = TypeVar("Part", "PictureItems", "PictureItem")


class Extent(NamedTuple):
    """Room along the flow, and on the near and on the far side of its axis."""

    length: float
    near: float
    far: float


class Gap(NamedTuple):
    """The room between two items.

    Attributes:
        text_at: From where the gap begins to the centre of the label.
        exit: The same to the line that leads from the axis to a lane.
        enter: The same to the line that leads from a lane to the axis.
    """

    length: float
    text: str
    text_at: float
    exit: float = 0.0
    enter: float = 0.0


class LoopExtent(NamedTuple):
    """The room in a loop.

    Attributes:
        begin: From where the loop begins to its sum.
        fork: From where the loop begins to where the way back leaves the axis.
        lane: How far from the axis the way back runs.
    """

    begin: float
    fork: float
    lane: float


class Title(NamedTuple):
    """The words on a frame, its look in the light theme, and the key of what it folds."""

    title: str
    note: str
    style: FamilyStyle
    key: str = ""

    @property
    def height(self) -> float:
        """Of title and note."""
        return 15.0 + (11.0 if self.note else 0.0)

    @property
    def width(self) -> float:
        """Of the wider one."""
        return max(text_width(self.title, TEXT * BOLD_WIDTH_FACTOR), text_width(self.note, DETAIL)) + 8

    @property
    def centre(self) -> float:
        """How far the words are from the line that enters, if the signal flows down: on its far side, as its label."""
        return TITLE_GAP + self.width / 2


class Measure:
    """The measures of one picture.

    Args:
        narrow: Whether long details take two lines.
        legend: Whether details that all neurons of a kind have are in a legend, not in their boxes.

    Attributes:
        common: These details, by kind.
    """

    def __init__(
        self, wiring: Wiring, items: PictureItems, *, vertical: bool, narrow: bool = False, legend: bool = False
    ) -> None:
        self.lanes = Lanes(wiring, items)
        self.vertical, self.narrow = vertical, narrow
        self._wiring = wiring
        labels = Labels(wiring.network)
        self._all_labels = labels
        self._labels = {
            layer: call_label(layer, narrow=narrow)
            if isinstance(layer, PictureCall)
            else labels.of(layer.nodes[0], wiring.unseen_source(layer))
            for layer in wiring.layers
        }
        self.common = self._take_common_details() if legend else {}
        if narrow:
            self._labels = {layer: narrow_label(label) for layer, label in self._labels.items()}
        self._measured: dict[int, tuple[PictureItems | PictureItem, Extent]] = {}
        self._noted = False  # whether a frame was measured that has a note
        words = [*self._labels.values(), self.readout_label]
        widths = [text_width(label.title, TEXT) for label in words]
        widths += [text_width(line, DETAIL) for label in words for line in label.details]
        self.width = max(72.0, *widths) + 14

    def _take_common_details(self) -> dict[str, tuple[str, ...]]:
        """Take the details from the labels of neurons that all of several neurons of one kind have."""
        kinds: dict[str, list[PictureLayer]] = {}
        for layer in self._wiring.layers:
            op = self._wiring.network.nodes[layer.nodes[0]].op
            if isinstance(op, Neuron) and not isinstance(layer, PictureCall):
                kinds.setdefault(op.kind, []).append(layer)
        common: dict[str, tuple[str, ...]] = {}
        for kind, layers in kinds.items():
            details = [self._labels[layer].details for layer in layers]
            shared = tuple(each for each in details[0] if all(each in others for others in details))
            if not shared or len(layers) == 1:
                continue
            common[kind] = shared
            for layer in layers:
                label = self._labels[layer]
                left = tuple(each for each in label.details if each not in shared)
                self._labels[layer] = replace(label, details=left)
        return common

    @property
    def shortest_gap(self) -> float:
        """Between two boxes, if the line has no label."""
        return NARROW_GAP if self.narrow else GAP

    @property
    def between(self) -> float:
        """The room between two columns."""
        return NARROW_BETWEEN if self.narrow else BETWEEN

    @property
    def readout(self) -> str:
        """The text at the end: ``mean over 16 steps``."""
        settings = self._wiring.network.settings
        words = {
            "mean": f"mean over {settings.steps} steps",
            "sum": f"sum of {settings.steps} steps",
            "last": "last step",
        }
        return words[settings.readout] if settings.steps > 1 else "output"

    @property
    def readout_label(self) -> Label:
        """The same on a box, in two lines where the picture is narrow."""
        begin, *end = self.readout.split(" ", 1) if self.narrow else (self.readout,)
        return Label(begin, tuple(end))

    def label(self, layer: PictureLayer | None) -> Label:
        """The words on a layer, or on the readout."""
        return self._labels[layer] if layer else self.readout_label

    @property
    def smallest(self) -> float:
        """The size of the smallest type in boxes, on frames and on lines, as a renderer rounds it."""
        small = any(label.details for label in (*self._labels.values(), self.readout_label)) or self._noted
        return float(int(DETAIL)) if small else SMALL

    def size(self, layer: PictureLayer | None) -> tuple[float, float]:
        """Along and across, of a layer or of the readout."""
        if layer and self._wiring.is_join(layer):
            return JOIN, JOIN
        height = (NARROW_HEIGHT if self.narrow else HEIGHT) + LINE * len(self.label(layer).details)
        return (height, self.width) if self.vertical else (self.width, height)

    def gap(self, items: PictureItems, number: int) -> Gap:
        """Return the room after an item of a row."""
        text = self.edge_label(items[number], items[number + 1])
        row = self.lanes.row(items)
        leaves, enters = number in row.exits, row.enters(number + 1) is not None
        if not leaves and not enters:
            length, _ = self._gap(text)
            return Gap(length, text, length / 2)
        first = TO_ROW
        if text:
            first = LINE + LABEL_GAP if self.vertical else text_width(text, SMALL) + LABEL_GAP + TO_ROW
        last = first + ROW * (leaves and enters)
        return Gap(last + FROM_ROW, text, first / 2, first, last)

    def _gap(self, text: str) -> tuple[float, str]:
        if not text:
            return self.shortest_gap + (0 if self.vertical else 3), ""
        return (self.shortest_gap + 11 if self.vertical else text_width(text, SMALL) + 20), text

    def lead(self, text: str) -> float:
        """The room for a label above the first item of a column."""
        return 22.0 if self.vertical else text_width(text, SMALL) + 26

    def edge_label(self, before: PictureItem, after: PictureItem) -> str:
        """The words on the edge between two items."""
        crosses = _folds(before) or _folds(after) or self._reshapes(before)
        return self.line_label(exit_layer(before), entry_layer(after), crosses=crosses)

    def line_label(self, source: PictureLayer, target: PictureLayer | None, *, crosses: bool) -> str:
        """The shape where it changes, at the readout and around folds; the range of counts where it changes.

        Args:
            target: Where it leads; None: to the readout.
            crosses: Whether to show the shape in any case, since it enters or leaves a fold or leaves a block.
        """
        wiring = self._wiring
        read = wiring.between(source, target)
        signals = wiring.signals(read)
        parts = []
        if read and (crosses or target is None or any(map(wiring.changes_shape, read))):
            parts.append(shape_range_text([signal.shape for signal in signals]))
        if any(map(wiring.changes_count, read)):
            parts.append(value_range_text([signal.values for signal in signals]))
        return " · ".join(parts)

    def _reshapes(self, item: PictureItem) -> bool:
        """Whether a block gives another shape than it reads."""
        entry = entry_layer(item)
        if not isinstance(item, PictureBlock | PictureCall) or entry is None:
            return False
        given = self._wiring.signals(exit_layer(item).nodes)
        return any(a.shape != b.shape for a, b in zip(self._wiring.carried(entry), given, strict=False))

    def title(self, item: PictureBlock | PictureRepeat) -> Title:
        """The words on a frame; a fold of nothing but one block shares the block's frame."""
        if isinstance(item, PictureBlock):
            return Title(item.label.strip() or "block", arguments_text(item.note), VALUE if item.value else BLOCK)
        count, copies = item.last - item.first + 1, copies_text(item)
        own = list(dict.fromkeys(self._differences(*item.compared))) if item.compared else []
        differs = cut(f"differs: {', '.join(own)}", LONGEST_DIFFERENCE) if own else ""
        note = " · ".join(filter(None, (self._way(item), self._first_input(item), differs)))
        match item.items:
            case (PictureBlock(name, value=False, note=said),):
                note = " · ".join(filter(None, (arguments_text(said), note)))
                title = f"{name} · {copies}" if count == 1 else f"{name} {copies}"
                return Title(title, note, FOLDED_BLOCK, item.key)
        return Title(copies, note, FOLD, item.key)

    def _way(self, fold: PictureRepeat) -> str:
        """The way of the shape through the copies, if their outputs differ."""
        given = [signal.shape for signal in self._wiring.signals(fold.outputs)]
        entry = entry_layer(fold)
        if entry is None or len(set(given)) == 1:
            return ""
        return shape_range_text([self._wiring.carried(entry)[0].shape, *given])

    def _first_input(self, fold: PictureRepeat) -> str:
        """The shape that the first copy reads, if all others read another, and all give the same."""
        entry, count = entry_layer(fold), fold.last - fold.first + 1
        given = {signal.shape for signal in self._wiring.signals(fold.outputs)}
        if entry is None or count == 1 or len(given) > 1:
            return ""
        inner = _folded_at_entry(fold.items)
        first, *others = (signal.shape for signal in self._wiring.carried(entry)[: count * inner : inner])
        return "" if first in others else f"copy {fold.first} reads {shape_range_text([first])}"

    def _differences(self, items: PictureItems, others: PictureItems) -> Iterator[str]:
        """What some copies have that those after them have not."""
        if len(items) != len(others):
            yield self._words(items)
            return
        for one, other in zip(items, others, strict=True):
            match one, other:
                case (PictureBlock() | PictureRepeat(), PictureBlock() | PictureRepeat()):
                    yield from self._differences(one.items, other.items)
                case (PictureMerge(), PictureMerge()) if len(one.operands) == len(other.operands):
                    for number, (own, its) in enumerate(zip(one.operands, other.operands, strict=True)):
                        side = "shortcut" if number and self._wiring.is_join(one.layer) else "operand"
                        if bool(own) != bool(its):
                            yield f"{side} {self._words(own) or 'id'}"
                        else:
                            yield from self._differences(own, its)
                    yield from self._differences((one.layer,), (other.layer,))
                case (PictureLoop(), PictureLoop()):
                    yield from self._differences(one.body, other.body)
                    yield from self._differences(one.feedback, other.feedback)
                case _ if self._words((one,)) != self._words((other,)):
                    yield self._words((one,))

    def _words(self, items: PictureItems) -> str:
        """All layers of some items, in one line: ``c16 k1 s1-BN-IF``."""
        found = (self._all_labels.of(layer.nodes[0]) for layer in drawn_layers(items))
        return "-".join(" ".join((label.title, *label.details)) for label in found)

    def sequence(self, items: PictureItems) -> Extent:
        """The room of items in a row."""
        return self._once(items, self._sequence)

    def item(self, item: PictureItem) -> Extent:
        """The room of one item."""
        return self._once(item, self._item)

    def _once(self, part: Part, measure: Callable[[Part], Extent]) -> Extent:
        """The room of a part, measured when it is first asked for: whatever is around it asks several times.

        A part is known by its identity, since to compare what is inside would take as long as to measure it; it is kept
        with its room, so that no other part takes over its identity.
        """
        known = self._measured.get(id(part))
        if known is None:
            known = self._measured[id(part)] = part, measure(part)
        return known[1]

    def _sequence(self, items: PictureItems) -> Extent:
        if not items:
            return Extent(0.0, 0.0, 0.0)
        extents = [self.item(item) for item in items]
        gaps = [self.gap(items, number) for number in range(len(items) - 1)]
        return Extent(
            sum(extent.length for extent in extents) + sum(gap.length for gap in gaps),
            max(extent.near for extent in extents),
            max([*(extent.far for extent in extents), *(self._label_reach(gap.text) for gap in gaps)])
            + VALUE_LANE * self.lanes.row(items).lanes,
        )

    def lane(self, items: PictureItems, value: PictureLayer) -> float:
        """Return how far from the axis of a row the lane of a value runs."""
        row = self.lanes.row(items)
        return self.sequence(items).far - VALUE_LANE * (row.lanes - row.tracks[value] - 0.5)

    def zone(self, item: PictureMerge | PictureLoop) -> float:
        """Return the room where the operands of a merge part, or before the sum of a loop."""
        rows = len(self.lanes.zone(item).rows)
        return LEAD + ROW * max(0, rows - 1) if rows or isinstance(item, PictureMerge) else 0.0

    def _label_reach(self, text: str) -> float:
        """How far the label of an edge reaches to the far side."""
        return text_width(text, SMALL) + LABEL_GAP if self.vertical and text else 0.0

    def _item(self, item: PictureItem) -> Extent:
        match item:
            case PictureMerge():
                length = self.zone(item) + self.body(item) + self.merge_gap(item)[0] + self.size(item.layer)[0]
                first, last = self.sequence(item.operands[0]), self.sequence(item.operands[-1])
                begin, end = self.bar(item)
                return Extent(length, max(first.near, -begin), max(self.operand_lanes(item)[-1] + last.far, end))
            case PictureLoop():
                loop = self.loop(item)
                far = loop.lane + self.sequence(item.feedback).far
                return Extent(loop.fork + LEAD / 2, self.sequence(item.row).near, far)
            case PictureBlock() | PictureRepeat():
                title = self.title(item)
                self._noted |= bool(title.note)
                items, gives = framed_items(item)
                length, near, far = self.sequence(items)
                length += GAP if gives else 0
                if self.vertical:
                    right = title.centre + title.width / 2
                    return Extent(title.height + length + 2 * PAD, near + PAD, max(far + PAD, right))
                return Extent(max(length, title.width) + 2 * PAD, near + PAD + title.height, far + PAD)
            case PictureLayer() | PictureReadout():
                along, across = self.size(entry_layer(item))
                return Extent(along, across / 2, across / 2)

    def loop(self, loop: PictureLoop) -> LoopExtent:
        """Where the parts of a loop are, from where it begins on the axis."""
        row, back, begin = self.sequence(loop.row), self.sequence(loop.feedback), self.zone(loop)
        fork = begin + max(row.length, JOIN / 2 + LEAD + back.length) + LEAD
        return LoopExtent(begin, fork, row.far + LANE + back.near)

    def body(self, merge: PictureMerge) -> float:
        """The length of the longest operand."""
        shortest = JOIN if self._wiring.is_join(merge.layer) or any(merge.operands) else 0.0
        return max(shortest, *(self.sequence(operand).length for operand in merge.operands))

    def merge_gap(self, merge: PictureMerge) -> tuple[float, str]:
        """The distance of the first operand and what merges it, and the label between."""
        first = merge.operands[0]
        text = self.edge_label(first[-1], merge.layer) if first else ""
        return self._gap(" · ".join(filter(None, (*self._wiring.operand_names(merge.layer)[:1], text))))

    def operand_lanes(self, merge: PictureMerge) -> list[float]:
        """How far from the axis each operand runs; the first does so on the axis."""
        first, *others = merge.operands
        lanes = [0.0]
        room = max(self.sequence(first).far, self._label_reach(self.merge_gap(merge)[1]), JOIN / 2)
        for operand in others:
            extent = self.sequence(operand)
            lanes.append(lanes[-1] + room + LANE + extent.near)
            room = extent.far
        return lanes

    def bar(self, merge: PictureMerge) -> tuple[float, float]:
        """Where what merges the operands begins and ends, across: a circle on the axis, or a bar below all of them."""
        half = self.size(merge.layer)[1] / 2
        if self._wiring.is_join(merge.layer):
            return -half, half
        last = self.operand_lanes(merge)[-1]
        middle, reach = last / 2, max(half, last / 2 + BAR)
        return middle - reach, middle + reach


def _folded_at_entry(items: PictureItems) -> int:
    """How many nodes the layer represents that some items begin with, in one copy of the items."""
    match items[0]:
        case PictureRepeat() as fold:
            return (fold.last - fold.first + 1) * _folded_at_entry(fold.items)
        case PictureBlock(items=inner):
            return _folded_at_entry(inner)
        case PictureMerge(operands):
            return next((_folded_at_entry(operand) for operand in operands if operand), 1)
        case _:
            return 1


def _folds(item: PictureItem) -> bool:
    """Whether an item represents several copies."""
    return isinstance(item, PictureRepeat) or (isinstance(item, PictureCall) and bool(item.note))
