"""Boxes of pictures: their texts, e.g. ``Conv 3×3, 64, /2``, and block calls that share a picture."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from textwrap import wrap
from typing import NamedTuple

from sewdsl.elaborate.arguments import redundant_arguments
from sewdsl.elaborate.definitions import shipped_blocks
from sewdsl.elaborate.node_builder import FollowerIndex, Followers
from sewdsl.ir.network import Network
from sewdsl.ir.node import PathStep
from sewdsl.light_dataclass import dataclass
from sewdsl.notation.compact_text import body_unfolded
from sewdsl.notation.fold_repeats import fold_repeats
from sewdsl.notation.item_text import (
    BlockText,
    LayerText,
    LetText,
    MergeText,
    ReadText,
    RepeatText,
    TextItem,
    TextItems,
    child_sequences,
    first_node,
    item_nodes,
    item_text,
    walk_items,
    with_sequences,
)
from sewdsl.notation.latex import tex
from sewdsl.notation.match_blocks import Blocks
from sewdsl.notation.part_calls import PartOperand, is_call

NAMES = {"c": "Conv", "tc": "Transposed Conv"}
"""Names of kinds in Figure 1 that differ from the language."""
ENLARGING = {"tc"}
"""Kinds whose stride enlarges the feature map."""
WIDTH = "\N{MATHEMATICAL ITALIC SMALL C}"
"""Symbol of a width that differs between calls."""
BREAK = r"\\{}"
"""Line break. The braces prevent LaTeX from reading the next character as an argument."""
MAX_LINE_LENGTH = 28
"""Largest number of characters of a line in a box."""
_C = re.compile(r"\bc[0-9]+")
"""Width in the arguments of a call."""


class BoxText(NamedTuple):
    """Text of a box in LaTeX, and its longest line as plain text, for measuring."""

    plain: str
    source: str

    @classmethod
    def of(cls, text: str) -> BoxText:
        """Wrap and escape a text."""
        lines = wrap(text, MAX_LINE_LENGTH) or [""]
        return cls(max(lines, key=len), BREAK.join(map(tex, lines)))


class BoxTexts:
    """Texts of the boxes of one network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._followers = FollowerIndex([node.op for node in network], network.graph.consumers, network.settings.steps)

    def box(self, box: LayerText | BlockText, width: str | None = None) -> BoxText:
        """Return the text of a box without redundant arguments, with the actual width or another text, e.g. ``4c``."""
        if isinstance(box, LayerText) and isinstance(box.op, PartOperand):
            return BoxText.of(f"{box.op.title}, same weights" if is_call(box.op) else box.op.title)
        if isinstance(box, LayerText):
            return BoxText.of(self._layer(box, width_of(box) if width is None else width))
        arguments = box.arguments if width is None else _C.sub(width, box.arguments, count=1).removeprefix(", ")
        return BoxText.of(f"{box.title} ({arguments})" if arguments else box.title)

    def _layer(self, layer: LayerText, width_text: str) -> str:
        op, letters = layer.op, layer.op.letters()
        followers = Followers(self._followers, layer.node)
        omitted = {*redundant_arguments(op, followers.settled), *(name for name, value in op if value is None)}
        head, arguments = NAMES.get(op.kind, op.kind), []
        kernel = letters.pop("k", None)
        width = letters.pop("", None)
        if kernel is not None:
            vector = len(self._network.inputs(self._network.nodes[layer.node])[0].shape) == 1
            size = getattr(op, kernel)
            sides = size if isinstance(size, Sequence) else (size, size)
            head += f" {_short(size) if vector else '×'.join(map(str, sides))}"
        if width is not None and width_text and width not in omitted:
            head += f", {width_text}" if kernel is not None else f" {width_text}"
        for letter, name in letters.items():
            if name not in omitted:
                mark = letter
                if letter == "s" and kernel is not None:
                    mark = "×" if op.kind in ENLARGING else "/"
                arguments.append(mark + _short(getattr(op, name)))
        return ", ".join([head, *arguments])


def width_of(box: LayerText | BlockText) -> str:
    """Return the 32 of ``c32k3``, ``FC32`` or ``SEW Block (c32)``, or an empty text."""
    if isinstance(box, BlockText):
        match = _C.search(box.arguments)
        return match[0].removeprefix("c") if match else ""
    name = box.op.letters().get("")
    return "" if name is None else _short(getattr(box.op, name))


def _short(value: object) -> str:
    """Format a value, with one number for equal sizes."""
    if isinstance(value, tuple):
        return "×".join(map(str, value if len(set(value)) > 1 else value[:1]))
    return str(int(value)) if isinstance(value, bool) else str(value)


def calls_by_path(network: Network) -> tuple[TextItems, TextItems]:
    """Return the body of a network with block calls according to its paths, unfolded and folded."""
    node_texts, items = body_unfolded(network)
    blocks = Blocks(network, node_texts, items)
    unfolded = _Paths(network, shipped_blocks()).sequence(blocks.named(items), 0)
    # If the network is a single call, draw the body of the block.
    while len(unfolded) == 1 and isinstance(unfolded[0], BlockText):
        unfolded = unfolded[0].items
    return unfolded, fold_repeats(unfolded, blocks.calls)


def has_paths(network: Network) -> bool:
    """Return whether the path of any node has a block."""
    return any(step.kind == "block" for node in network for step in node.path)


class _Paths:
    def __init__(self, network: Network, shipped: Mapping[str, object]) -> None:
        self._nodes, self._shipped = network.nodes, shipped
        self._sizes = Counter(node.path[: end + 1] for node in network for end in range(len(node.path)))

    def sequence(self, items: TextItems, depth: int) -> TextItems:
        """Replace items by block calls, ignoring the first ``depth`` steps of the paths."""
        return tuple(self._with_calls(items, depth))

    def _with_calls(self, items: TextItems, depth: int) -> Iterator[TextItem]:
        for path, items_of_call in groupby(items, lambda item: self._call(item, depth)):
            group = tuple(items_of_call)
            # A call with named values is split over several sequences, and cannot be a box.
            if path is not None and len(list(item_nodes(group))) == self._sizes[path]:
                call = path[-1]
                # Figures omit a stride of 1.
                yield BlockText(call.label, call.arguments.removesuffix("s1"), self.sequence(group, len(path)))
                continue
            for item in group:
                yield with_sequences(item, lambda inner: self.sequence(inner, depth))

    def _call(self, item: TextItem, depth: int) -> tuple[PathStep, ...] | None:
        """Return the path of the outermost remaining call around an item, if its block is defined in the file."""
        if isinstance(item, ReadText | LetText):
            return None
        node = item.node if isinstance(item, MergeText) else first_node(item)
        path = self._nodes[node].path
        end = next((index for index in range(depth, len(path)) if path[index].kind == "block"), None)
        return path[: end + 1] if end is not None and "".join(path[end].label.split()) not in self._shipped else None


MAX_BOXES = 16
"""Largest number of boxes of a block that is drawn without repeats."""


@dataclass(frozen=True)
class BlockVariants:
    """Calls of a block that only differ in widths, with distinct arguments. The first call is drawn."""

    blocks: tuple[BlockText, ...]

    @property
    def items(self) -> TextItems:
        """Items of the picture, folded only if there are many: the figures of the paper show every layer."""
        items = self.blocks[0].items
        return items if sum(1 for _ in drawn_boxes(items)) <= MAX_BOXES else fold_repeats(items)

    @property
    def caption(self) -> str:
        """Caption, e.g. ``SEW Block (c64), (c128)``."""
        title, *_ = {block.title for block in self.blocks}
        calls = [f"({block.arguments})" for block in self.blocks if block.arguments]
        return f"{title} {', '.join(calls)}".strip()

    def texts(self, box_texts: BoxTexts) -> dict[int, BoxText]:
        """Return the texts of the boxes by first node. Widths that differ between calls are multiples of c."""
        boxes = zip(*(drawn_boxes(block.items) for block in self.blocks), strict=True)
        return {first_node(row[0]): box_texts.box(row[0], self._width(row)) for row in boxes}

    def _width(self, row: Sequence[LayerText | BlockText]) -> str | None:
        """Return the text for the width of a box in all calls, or None for the actual value."""
        widths = [width_of(box) for box in row]
        if len(set(widths)) == 1:
            return None
        ratios = {_ratio(width, width_of(block)) for width, block in zip(widths, self.blocks, strict=True)}
        ratio = ratios.pop() if len(ratios) == 1 else 0
        return {0: "", 1: WIDTH}.get(ratio, f"{ratio}{WIDTH}")


def distinct_blocks(box_texts: BoxTexts, calls: Iterable[TextItems]) -> tuple[BlockVariants, ...]:
    """Return the distinct blocks of a network, from sequences that contain all calls, possibly several times."""
    groups: dict[Hashable, dict[str, BlockText]] = {}
    for block in (item for items in calls for item in walk_items(items) if isinstance(item, BlockText)):
        variants = groups.setdefault((block.title, _skeleton(box_texts, block.items)), {})
        variants.setdefault(block.arguments, block)
    return tuple(BlockVariants(tuple(blocks.values())) for blocks in groups.values())


def first_copy_note(network: Network, box_texts: BoxTexts, repeat: RepeatText) -> str:
    """Return a note about layers or inputs of the first copy of a repeat that differ from the second, or no text."""
    if len(repeat.copies) <= 1:
        return ""
    first, second = repeat.copies[:2]
    notes = list(dict.fromkeys(_differences(box_texts, first, second)))
    inputs = [network.nodes[network.nodes[first_node(copy[0])].sources[0]].output.shape for copy in (first, second)]
    outputs = {network.nodes[max(item_nodes(copy))].output.shape for copy in (first, second)}
    # If the outputs differ too, every copy changes the shape, not only the first.
    if inputs[0] != inputs[1] and len(outputs) == 1:
        notes.append(f"reads {'×'.join(map(str, inputs[0]))}")
    return f"first: {', '.join(notes)}" if notes else ""


def _differences(box_texts: BoxTexts, items: TextItems, others: TextItems) -> Iterator[str]:
    if len(items) != len(others):
        yield _plain_text(box_texts, items)
        return
    for one, other in zip(items, others, strict=True):
        match one, other:
            case (BlockText(items=own), BlockText(items=its)) | (RepeatText(items=own), RepeatText(items=its)):
                yield from _differences(box_texts, own, its)
            case (MergeText(), MergeText()) if len(one.operands) == len(other.operands):
                for index, (own, its) in enumerate(zip(one.operands, other.operands, strict=True)):
                    if bool(own) == bool(its):
                        yield from _differences(box_texts, own, its)
                    else:
                        side = "shortcut" if index and one.is_join else "operand"
                        yield f"{side} {_plain_text(box_texts, own) or 'id'}"
            case _ if _plain_text(box_texts, (one,)) != _plain_text(box_texts, (other,)):
                yield _plain_text(box_texts, (one,))


def _plain_text(box_texts: BoxTexts, items: TextItems) -> str:
    return "–".join(box_texts.box(box).plain for box in drawn_boxes(items))


def drawn_boxes(items: TextItems) -> Iterator[LayerText | BlockText]:
    """Yield the boxes of a sequence in order, without boxes inside blocks and circles of joins."""
    for item in items:
        if isinstance(item, LayerText | BlockText):
            yield item
        elif not isinstance(item, LetText):
            for inner in child_sequences(item):
                yield from drawn_boxes(inner)


def _skeleton(box_texts: BoxTexts, items: TextItems) -> Hashable:
    """Return a key of a sequence that is independent of widths."""
    return tuple(_skeleton_of(box_texts, item) for item in items)


def _skeleton_of(box_texts: BoxTexts, item: TextItem) -> Hashable:
    match item:
        case LayerText() | BlockText():
            return box_texts.box(item, "")
        case MergeText(_, operands):
            return item.op, *(_skeleton(box_texts, operand) for operand in operands)
        case RepeatText(inner, count):
            return count, _skeleton(box_texts, inner)
        case ReadText() | LetText():
            return item_text(item)


def _ratio(width: str, c: str) -> int:
    """Return the ratio of a width to the argument c of a call, or 0 if it is not an integer."""
    if not (c.isdecimal() and width.isdecimal()) or int(width) % int(c):
        return 0
    return int(width) // int(c)
