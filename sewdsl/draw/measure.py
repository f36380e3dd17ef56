"""Size of each part of a picture."""

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
    readout_text,
)
from sewdsl.draw.style import BLOCK, FOLD, FOLDED_BLOCK, VALUE, FamilyStyle
from sewdsl.ir.op import Neuron

TEXT, SMALL = 11.0, 9.0
"""Font sizes of layers and of labels on lines."""
HEIGHT, LINE, JOIN, GAP, PAD, LEAD, LANE, LABEL_GAP, BAR = 22.0, 10.0, 35.0, 15.0, 10.0, 14.0, 15.0, 8.0, 14.0
"""Sizes of a box, of a line of details and of a join's circle. Distances between boxes, inside a frame, after a fork,
next to an arc, next to a label, and of a bar beyond the outermost operands."""
TITLE_GAP = 3.0
"""Distance between the line into a frame and the text of the frame, which has its own margin."""
BETWEEN = 46.0
"""Distance between two columns."""
NARROW_HEIGHT, NARROW_GAP, NARROW_BETWEEN = 19.0, 11.0, 34.0
"""Height of a box, distance between boxes, and distance between columns, in a narrow picture."""
LONGEST_DIFFERENCE = 48
"""Maximum length of the text about a difference, in characters."""
VALUE_LANE, ROW, TO_ROW, FROM_ROW = 12.0, 9.0, 7.0, 12.0
"""Width of a value's lane. Distances of lines between axis and lanes: between two lines, after a box, before a box."""

Part = TypeVar("Part", "PictureItems", "PictureItem")


class Extent(NamedTuple):
    """Size along the flow, and on the near and far side of the axis."""

    length: float
    near: float
    far: float


class Gap(NamedTuple):
    """Space between two items.

    All positions are measured from its start.
    """

    length: float
    text: str
    text_at: float
    """Position of the centre of the label."""
    exit: float = 0.0
    """Position of the line from the axis to a lane."""
    enter: float = 0.0
    """Position of the line from a lane to the axis."""


class LoopExtent(NamedTuple):
    """Size of a loop.

    Positions along the flow are measured from its start.
    """

    begin: float
    """Position of the sum."""
    fork: float
    """Position where the feedback leaves the axis."""
    lane: float
    """Distance of the feedback from the axis."""


class Title(NamedTuple):
    """Text of a frame, its style in the light theme, and the key of its repeat."""

    title: str
    note: str
    style: FamilyStyle
    key: str = ""

    @property
    def height(self) -> float:
        """Height of title and note."""
        return 15.0 + (11.0 if self.note else 0.0)

    @property
    def width(self) -> float:
        """Width of the wider line."""
        return max(text_width(self.title, TEXT * BOLD_WIDTH_FACTOR), text_width(self.note, DETAIL)) + 8

    @property
    def centre(self) -> float:
        """Distance of the text from the line into the frame if the signal flows down, on the far side of the line."""
        return TITLE_GAP + self.width / 2


class Measure:
    """Sizes of one picture.

    Args:
        narrow: Whether to split long details into two lines.
        legend: Whether to move details that all neurons of a kind share from the boxes to the legend.

    Attributes:
        common: Shared details by kind.
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
        self._has_notes = False  # Whether a measured frame has a note.
        words = [*self._labels.values(), self.readout_label]
        widths = [text_width(label.title, TEXT) for label in words]
        widths += [text_width(line, DETAIL) for label in words for line in label.details]
        self.width = max(72.0, *widths) + 14

    def _take_common_details(self) -> dict[str, tuple[str, ...]]:
        """Remove the details that all neurons of a kind share from their labels, and return them."""
        kinds: dict[str, list[PictureLayer]] = {}
        for layer in self._wiring.layers:
            op = self._wiring.network.nodes[layer.nodes[0]].op
            if isinstance(op, Neuron) and not isinstance(layer, PictureCall):
                kinds.setdefault(op.kind, []).append(layer)
        common: dict[str, tuple[str, ...]] = {}
        for kind, layers in kinds.items():
            label_details = [self._labels[layer].details for layer in layers]
            shared = tuple(detail for detail in label_details[0] if all(detail in others for others in label_details))
            # A single neuron keeps its details in its box.
            if not shared or len(layers) == 1:
                continue
            common[kind] = shared
            for layer in layers:
                label = self._labels[layer]
                remaining = tuple(detail for detail in label.details if detail not in shared)
                self._labels[layer] = replace(label, details=remaining)
        return common

    @property
    def shortest_gap(self) -> float:
        """Distance between two boxes without a label."""
        return NARROW_GAP if self.narrow else GAP

    @property
    def between(self) -> float:
        """Distance between two columns."""
        return NARROW_BETWEEN if self.narrow else BETWEEN

    @property
    def readout(self) -> str:
        """Text of the readout: ``mean over 16 steps``."""
        return readout_text(self._wiring.network) or "output"

    @property
    def readout_label(self) -> Label:
        """Label of the readout, in two lines in a narrow picture."""
        first_line, *other_lines = self.readout.split(" ", 1) if self.narrow else (self.readout,)
        return Label(first_line, tuple(other_lines))

    def label(self, layer: PictureLayer | None) -> Label:
        """Return the label of a layer, or of the readout."""
        return self._labels[layer] if layer else self.readout_label

    @property
    def smallest(self) -> float:
        """Smallest font size of boxes, frames and lines, as a renderer rounds it."""
        small = any(label.details for label in (*self._labels.values(), self.readout_label)) or self._has_notes
        return float(int(DETAIL)) if small else SMALL

    def size(self, layer: PictureLayer | None) -> tuple[float, float]:
        """Return the size of a layer or of the readout, along and across the flow."""
        if layer and self._wiring.is_join(layer):
            return JOIN, JOIN
        height = (NARROW_HEIGHT if self.narrow else HEIGHT) + LINE * len(self.label(layer).details)
        return (height, self.width) if self.vertical else (self.width, height)

    def gap(self, items: PictureItems, number: int) -> Gap:
        """Return the space after an item of a row."""
        text = self.edge_label(items[number], items[number + 1])
        row = self.lanes.row(items)
        has_exit, has_entry = number in row.exits, row.enters(number + 1) is not None
        # Without lanes, the label is in the middle of the gap.
        if not has_exit and not has_entry:
            length, _ = self._gap(text)
            return Gap(length, text, length / 2)
        exit_position = TO_ROW
        if text:
            exit_position = LINE + LABEL_GAP if self.vertical else text_width(text, SMALL) + LABEL_GAP + TO_ROW
        # Lines to and from a lane need heights of their own.
        entry_position = exit_position + ROW * (has_exit and has_entry)
        return Gap(entry_position + FROM_ROW, text, exit_position / 2, exit_position, entry_position)

    def _gap(self, text: str) -> tuple[float, str]:
        """Return the length of a gap with a label, and the label."""
        if not text:
            return self.shortest_gap + (0 if self.vertical else 3), ""
        return (self.shortest_gap + 11 if self.vertical else text_width(text, SMALL) + 20), text

    def lead(self, text: str) -> float:
        """Return the space for a label above the first item of a column."""
        return 22.0 if self.vertical else text_width(text, SMALL) + 26

    def edge_label(self, before: PictureItem, after: PictureItem) -> str:
        """Return the label of the line between two items."""
        crosses = _folds(before) or _folds(after) or self._reshapes(before)
        return self.line_label(exit_layer(before), entry_layer(after), crosses=crosses)

    def line_label(self, source: PictureLayer, target: PictureLayer | None, *, crosses: bool) -> str:
        """Return the shape where it changes, at the readout and around folds, and the range of counts where it changes.

        Args:
            target: Layer that the line leads to. None for the readout.
            crosses: Whether to show the shape anyway, since the line enters or leaves a fold, or leaves a block.
        """
        wiring = self._wiring
        nodes = wiring.between(source, target)
        signals = wiring.signals(nodes)
        parts = []
        # Unchanged shapes would only add clutter.
        if nodes and (crosses or target is None or any(map(wiring.changes_shape, nodes))):
            parts.append(shape_range_text([signal.shape for signal in signals]))
        if any(map(wiring.changes_count, nodes)):
            parts.append(value_range_text([signal.values for signal in signals]))
        return " · ".join(parts)

    def _reshapes(self, item: PictureItem) -> bool:
        """Return whether the output shape of a block differs from its input shape."""
        entry = entry_layer(item)
        if not isinstance(item, PictureBlock | PictureCall) or entry is None:
            return False
        outputs = self._wiring.signals(exit_layer(item).nodes)
        return any(a.shape != b.shape for a, b in zip(self._wiring.carried(entry), outputs, strict=False))

    def title(self, item: PictureBlock | PictureRepeat) -> Title:
        """Return the text of a frame. A fold of a single block shares the frame of the block."""
        if isinstance(item, PictureBlock):
            return Title(item.label.strip() or "block", arguments_text(item.note), VALUE if item.value else BLOCK)
        count, copies = item.last - item.first + 1, copies_text(item)
        differences = list(dict.fromkeys(self._differences(*item.compared))) if item.compared else []
        differs = cut(f"differs: {', '.join(differences)}", LONGEST_DIFFERENCE) if differences else ""
        note = " · ".join(filter(None, (self._copy_shapes(item), self._first_input(item), differs)))
        match item.items:
            # The block has no frame of its own, so that the frame of the fold shows its arguments.
            case (PictureBlock(name, value=False, note=block_note),):
                tied = "same weights" if self._shares_weights(item) else ""
                note = " · ".join(filter(None, (arguments_text(block_note), tied, note)))
                title = f"{name} · {copies}" if count == 1 else f"{name} {copies}"
                return Title(title, note, FOLDED_BLOCK, item.key)
        return Title(copies, note, FOLD, item.key)

    def _shares_weights(self, fold: PictureRepeat) -> bool:
        """Return whether the copies of a fold are calls of one part."""
        network = self._wiring.network
        first_layer = next(iter(drawn_layers(fold.items)))
        copies = first_layer.nodes
        owners = {network.owner(network.nodes[index]).name for index in copies}
        return len(owners) < len(copies)

    def _copy_shapes(self, fold: PictureRepeat) -> str:
        """Return the shapes of the successive copies, if their outputs differ."""
        shapes = [signal.shape for signal in self._wiring.signals(fold.outputs)]
        entry = entry_layer(fold)
        if entry is None or len(set(shapes)) == 1:
            return ""
        return shape_range_text([self._wiring.carried(entry)[0].shape, *shapes])

    def _first_input(self, fold: PictureRepeat) -> str:
        """Return a note on the input shape of the first copy, if only that copy has another one."""
        entry, count = entry_layer(fold), fold.last - fold.first + 1
        shapes = {signal.shape for signal in self._wiring.signals(fold.outputs)}
        if entry is None or count == 1 or len(shapes) > 1:
            return ""
        inner = _folded_at_entry(fold.items)
        first, *others = (signal.shape for signal in self._wiring.carried(entry)[: count * inner : inner])
        return "" if first in others else f"copy {fold.first} reads {shape_range_text([first])}"

    def _differences(self, items: PictureItems, others: PictureItems) -> Iterator[str]:
        """Yield the parts of some copies missing in the following copies."""
        # Sequences of different lengths have no pairs to compare.
        if len(items) != len(others):
            yield self._words(items)
            return
        for item, other_item in zip(items, others, strict=True):
            match item, other_item:
                case (PictureBlock() | PictureRepeat(), PictureBlock() | PictureRepeat()):
                    yield from self._differences(item.items, other_item.items)
                case (PictureMerge(), PictureMerge()) if len(item.operands) == len(other_item.operands):
                    for index, (operand, other_operand) in enumerate(
                        zip(item.operands, other_item.operands, strict=True)
                    ):
                        side = "shortcut" if index and self._wiring.is_join(item.layer) else "operand"
                        if bool(operand) != bool(other_operand):
                            yield f"{side} {self._words(operand) or 'id'}"
                        else:
                            yield from self._differences(operand, other_operand)
                    yield from self._differences((item.layer,), (other_item.layer,))
                case (PictureLoop(), PictureLoop()):
                    yield from self._differences(item.body, other_item.body)
                    yield from self._differences(item.feedback, other_item.feedback)
                case _ if self._words((item,)) != self._words((other_item,)):
                    yield self._words((item,))

    def _words(self, items: PictureItems) -> str:
        """Return all layers of some items in one line: ``c16 k1 s1-BN-IF``."""
        labels = (self._all_labels.of(layer.nodes[0]) for layer in drawn_layers(items))
        return "-".join(" ".join((label.title, *label.details)) for label in labels)

    def sequence(self, items: PictureItems) -> Extent:
        """Return the size of a row of items."""
        return self._cached(items, self._sequence)

    def item(self, item: PictureItem) -> Extent:
        """Return the size of one item."""
        return self._cached(item, self._item)

    def _cached(self, part: Part, measure: Callable[[Part], Extent]) -> Extent:
        """Return the size of a part, measured once: enclosing parts need it several times."""
        # Keyed by identity, since a comparison would take as long as measuring. The part is stored with its size:
        # otherwise its identity could be reused.
        measured = self._measured.get(id(part))
        if measured is None:
            measured = self._measured[id(part)] = part, measure(part)
        return measured[1]

    def _sequence(self, items: PictureItems) -> Extent:
        if not items:
            return Extent(0.0, 0.0, 0.0)
        extents = [self.item(item) for item in items]
        gaps = [self.gap(items, index) for index in range(len(items) - 1)]
        return Extent(
            sum(extent.length for extent in extents) + sum(gap.length for gap in gaps),
            max(extent.near for extent in extents),
            # Lanes run outside of everything in the row.
            max([*(extent.far for extent in extents), *(self._label_reach(gap.text) for gap in gaps)])
            + VALUE_LANE * self.lanes.row(items).lanes,
        )

    def lane(self, items: PictureItems, value: PictureLayer) -> float:
        """Return the distance of a value's lane from the axis of a row."""
        row = self.lanes.row(items)
        return self.sequence(items).far - VALUE_LANE * (row.lanes - row.tracks[value] - 0.5)

    def zone(self, item: PictureMerge | PictureLoop) -> float:
        """Return the space where the operands of a merge separate, or before the sum of a loop."""
        rows = len(self.lanes.zone(item).rows)
        return LEAD + ROW * max(0, rows - 1) if rows or isinstance(item, PictureMerge) else 0.0

    def _label_reach(self, text: str) -> float:
        """Return how far the label of a line extends on the far side."""
        return text_width(text, SMALL) + LABEL_GAP if self.vertical and text else 0.0

    def _item(self, item: PictureItem) -> Extent:
        match item:
            case PictureMerge():
                length = self.zone(item) + self.body(item) + self.merge_gap(item)[0] + self.size(item.layer)[0]
                first, last = self.sequence(item.operands[0]), self.sequence(item.operands[-1])
                low, high = self.bar(item)
                return Extent(length, max(first.near, -low), max(self.operand_lanes(item)[-1] + last.far, high))
            case PictureLoop():
                loop = self.loop(item)
                far = loop.lane + self.sequence(item.feedback).far
                return Extent(loop.fork + LEAD / 2, self.sequence(item.row).near, far)
            case PictureBlock() | PictureRepeat():
                title = self.title(item)
                # The smallest font of the picture depends on whether any frame has a note.
                self._has_notes |= bool(title.note)
                items, gives = framed_items(item)
                length, near, far = self.sequence(items)
                length += GAP if gives else 0
                # The title is next to the line that enters from above.
                if self.vertical:
                    right = title.centre + title.width / 2
                    return Extent(title.height + length + 2 * PAD, near + PAD, max(far + PAD, right))
                return Extent(max(length, title.width) + 2 * PAD, near + PAD + title.height, far + PAD)
            case PictureLayer() | PictureReadout():
                along, across = self.size(entry_layer(item))
                return Extent(along, across / 2, across / 2)

    def loop(self, loop: PictureLoop) -> LoopExtent:
        """Return the positions of the parts of a loop, from its start on the axis."""
        row, back, start = self.sequence(loop.row), self.sequence(loop.feedback), self.zone(loop)
        fork = start + max(row.length, JOIN / 2 + LEAD + back.length) + LEAD
        return LoopExtent(start, fork, row.far + LANE + back.near)

    def body(self, merge: PictureMerge) -> float:
        """Return the length of the longest operand."""
        shortest = JOIN if self._wiring.is_join(merge.layer) or any(merge.operands) else 0.0
        return max(shortest, *(self.sequence(operand).length for operand in merge.operands))

    def merge_gap(self, merge: PictureMerge) -> tuple[float, str]:
        """Return the distance between the first operand and the merge, and the label between them."""
        first = merge.operands[0]
        text = self.edge_label(first[-1], merge.layer) if first else ""
        return self._gap(" · ".join(filter(None, (*self._wiring.operand_names(merge.layer)[:1], text))))

    def operand_lanes(self, merge: PictureMerge) -> list[float]:
        """Return the distance of each operand from the axis. The first one is on the axis."""
        first, *others = merge.operands
        lanes = [0.0]
        room = max(self.sequence(first).far, self._label_reach(self.merge_gap(merge)[1]), JOIN / 2)
        for operand in others:
            extent = self.sequence(operand)
            lanes.append(lanes[-1] + room + LANE + extent.near)
            room = extent.far
        return lanes

    def bar(self, merge: PictureMerge) -> tuple[float, float]:
        """Return start and end of a merge across the flow: a circle on the axis, or a bar below all operands."""
        half = self.size(merge.layer)[1] / 2
        if self._wiring.is_join(merge.layer):
            return -half, half
        last = self.operand_lanes(merge)[-1]
        middle, reach = last / 2, max(half, last / 2 + BAR)
        return middle - reach, middle + reach


def _folded_at_entry(items: PictureItems) -> int:
    """Return the number of nodes of the first layer in one copy of some items."""
    match items[0]:
        case PictureRepeat() as fold:
            # A fold at the entry has a node for each of its copies.
            return (fold.last - fold.first + 1) * _folded_at_entry(fold.items)
        case PictureBlock(items=inner):
            return _folded_at_entry(inner)
        case PictureMerge(operands):
            return next((_folded_at_entry(operand) for operand in operands if operand), 1)
        case _:
            return 1


def _folds(item: PictureItem) -> bool:
    """Return whether an item represents several copies."""
    return isinstance(item, PictureRepeat) or (isinstance(item, PictureCall) and bool(item.note))
