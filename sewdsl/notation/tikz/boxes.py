"""The boxes of pictures: their words, ``Conv 3×3, 64, /2``, and which calls of blocks look the same and share one."""

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

NAMES = {"c": "Conv", "tc": "Transposed Conv"}
"""What Figure 1 calls a kind, where it is not the name in the language."""
ENLARGING = {"tc"}
"""Kinds whose stride says how many times as large the map becomes."""
WIDTH = "\N{MATHEMATICAL ITALIC SMALL C}"
"""What represents the width where it is not one number."""
BREAK = r"\\{}"
"""Between lines; in braces ends the argument that LaTeX looks for after it."""
MAX_LINE_LENGTH = 28
"""Characters of a line in a box."""
_C = re.compile(r"\bc[0-9]+")
"""The width in the arguments of a call."""


class BoxText(NamedTuple):
    """The text of a box: its longest line as it looks, and all of it as LaTeX source."""

    plain: str
    source: str

    @classmethod
    def of(cls, text: str) -> BoxText:
        """Anybody's text, in lines of at most 28 characters."""
        lines = wrap(text, MAX_LINE_LENGTH) or [""]
        return cls(max(lines, key=len), BREAK.join(map(tex, lines)))


class BoxTexts:
    """The words of the boxes of one network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._followers = FollowerIndex([node.op for node in network], network.graph.consumers, network.settings.steps)

    def box(self, box: LayerText | BlockText, width: str | None = None) -> BoxText:
        """The words in a box; what goes without saying is left out.

        Args:
            width: What is said of its channels, features or rate, ``4c`` or nothing; None: what they are.
        """
        if isinstance(box, LayerText):
            return BoxText.of(self._layer(box, width_of(box) if width is None else width))
        arguments = box.arguments if width is None else _C.sub(width, box.arguments, count=1).removeprefix(", ")
        return BoxText.of(f"{box.title} ({arguments})" if arguments else box.title)

    def _layer(self, layer: LayerText, said: str) -> str:
        op, letters = layer.op, layer.op.letters()
        followers = Followers(self._followers, layer.node)
        unsaid = {*redundant_arguments(op, followers.settled), *(name for name, value in op if value is None)}
        head, arguments = NAMES.get(op.kind, op.kind), []
        kernel = letters.pop("k", None)
        width = letters.pop("", None)
        if kernel is not None:
            vector = len(self._network.inputs(self._network.nodes[layer.node])[0].shape) == 1
            size = getattr(op, kernel)
            sides = size if isinstance(size, Sequence) else (size, size)
            head += f" {_short(size) if vector else '×'.join(map(str, sides))}"
        if width is not None and said and width not in unsaid:
            head += f", {said}" if kernel is not None else f" {said}"
        for letter, name in letters.items():
            if name not in unsaid:
                mark = letter
                if letter == "s" and kernel is not None:
                    mark = "×" if op.kind in ENLARGING else "/"
                arguments.append(mark + _short(getattr(op, name)))
        return ", ".join([head, *arguments])


def width_of(box: LayerText | BlockText) -> str:
    """The 32 of ``c32k3``, ``FC32`` or ``SEW Block (c32)``; empty: it says none."""
    if isinstance(box, BlockText):
        found = _C.search(box.arguments)
        return found[0].removeprefix("c") if found else ""
    name = box.op.letters().get("")
    return "" if name is None else _short(getattr(box.op, name))


def _short(value: object) -> str:
    """One number for two equal ones."""
    if isinstance(value, tuple):
        return "×".join(map(str, value if len(set(value)) > 1 else value[:1]))
    return str(int(value)) if isinstance(value, bool) else str(value)


def calls_by_path(network: Network) -> tuple[TextItems, TextItems]:
    """The body of a network with calls of blocks: without repeats, and with them."""
    wording, items = body_unfolded(network)
    blocks = Blocks(network, wording, items)
    whole = _Paths(network, shipped_blocks()).sequence(blocks.named(items), 0)
    while len(whole) == 1 and isinstance(whole[0], BlockText):  # a network that is one call shows what it calls
        whole = whole[0].items
    return whole, fold_repeats(whole, blocks.calls)


def has_paths(network: Network) -> bool:
    """Whether the paths of nodes name any block."""
    return any(step.kind == "block" for node in network for step in node.path)


class _Paths:
    def __init__(self, network: Network, known: Mapping[str, object]) -> None:
        self._nodes, self._known = network.nodes, known
        self._sizes = Counter(node.path[: end + 1] for node in network for end in range(len(node.path)))

    def sequence(self, items: TextItems, depth: int) -> TextItems:
        """Looks for calls after the first steps of the ways to the nodes."""
        return tuple(self._found(items, depth))

    def _found(self, items: TextItems, depth: int) -> Iterator[TextItem]:
        for way, found in groupby(items, lambda item: self._call(item, depth)):
            group = tuple(found)
            # named values may be parts of a call, which is no box then
            if way is not None and len(list(item_nodes(group))) == self._sizes[way]:
                call = way[-1]
                yield BlockText(call.label, call.arguments.removesuffix("s1"), self.sequence(group, len(way)))
                continue
            for item in group:
                yield with_sequences(item, lambda inner: self.sequence(inner, depth))

    def _call(self, item: TextItem, depth: int) -> tuple[PathStep, ...] | None:
        """The way to the nearest call that an item is part of, if that is of a block of the file's own."""
        if isinstance(item, ReadText | LetText):
            return None
        node = item.node if isinstance(item, MergeText) else first_node(item)
        path = self._nodes[node].path
        end = next((place for place in range(depth, len(path)) if path[place].kind == "block"), None)
        return path[: end + 1] if end is not None and "".join(path[end].label.split()) not in self._known else None


MAX_BOXES = 16
"""Boxes in the picture of a block without repeats."""


@dataclass(frozen=True)
class BlockVariants:
    """Calls of a block that differ in widths only.

    Attributes:
        blocks: The calls, each arguments once, in order; the first is drawn.
    """

    blocks: tuple[BlockText, ...]

    @property
    def items(self) -> TextItems:
        """What is drawn; with repeats only where that is much, as the paper's figures show every layer."""
        items = self.blocks[0].items
        return items if sum(1 for _ in drawn_boxes(items)) <= MAX_BOXES else fold_repeats(items)

    @property
    def caption(self) -> str:
        """``SEW Block (c64), (c128)``."""
        title, *_ = {block.title for block in self.blocks}
        calls = [f"({block.arguments})" for block in self.blocks if block.arguments]
        return f"{title} {', '.join(calls)}".strip()

    def texts(self, words: BoxTexts) -> dict[int, BoxText]:
        """The words of each box, by its first node; where the calls differ, ``4c`` represents the width."""
        boxes = zip(*(drawn_boxes(block.items) for block in self.blocks), strict=True)
        return {first_node(row[0]): words.box(row[0], self._width(row)) for row in boxes}

    def _width(self, row: Sequence[LayerText | BlockText]) -> str | None:
        """What is said of the width of a box in all calls; None: what it is."""
        widths = [width_of(box) for box in row]
        if len(set(widths)) == 1:
            return None
        ratios = {_ratio(width, width_of(block)) for width, block in zip(widths, self.blocks, strict=True)}
        ratio = ratios.pop() if len(ratios) == 1 else 0
        return {0: "", 1: WIDTH}.get(ratio, f"{ratio}{WIDTH}")


def distinct_blocks(words: BoxTexts, calls: Iterable[TextItems]) -> tuple[BlockVariants, ...]:
    """The distinct blocks of a network.

    Args:
        calls: Sequences in which all calls occur, each perhaps more than once.
    """
    found: dict[Hashable, dict[str, BlockText]] = {}
    for block in (item for items in calls for item in walk_items(items) if isinstance(item, BlockText)):
        alike = found.setdefault((block.title, _skeleton(words, block.items)), {})
        alike.setdefault(block.arguments, block)
    return tuple(BlockVariants(tuple(blocks.values())) for blocks in found.values())


def first_copy_note(network: Network, words: BoxTexts, repeat: RepeatText) -> str:
    """What the first copy of a repeat has, or reads, that the second has not, or does not read; perhaps nothing."""
    if len(repeat.copies) <= 1:
        return ""
    first, second = repeat.copies[:2]
    said = list(dict.fromkeys(_differences(words, first, second)))
    read = [network.nodes[network.nodes[first_node(copy[0])].sources[0]].output.shape for copy in (first, second)]
    given = {network.nodes[max(item_nodes(copy))].output.shape for copy in (first, second)}
    if read[0] != read[1] and len(given) == 1:
        said.append(f"reads {'×'.join(map(str, read[0]))}")
    return f"first: {', '.join(said)}" if said else ""


def _differences(words: BoxTexts, items: TextItems, others: TextItems) -> Iterator[str]:
    if len(items) != len(others):
        yield _words(words, items)
        return
    for one, other in zip(items, others, strict=True):
        match one, other:
            case (BlockText(items=own), BlockText(items=its)) | (RepeatText(items=own), RepeatText(items=its)):
                yield from _differences(words, own, its)
            case (MergeText(), MergeText()) if len(one.operands) == len(other.operands):
                for number, (own, its) in enumerate(zip(one.operands, other.operands, strict=True)):
                    if bool(own) == bool(its):
                        yield from _differences(words, own, its)
                    else:
                        side = "shortcut" if number and one.is_join else "operand"
                        yield f"{side} {_words(words, own) or 'id'}"
            case _ if _words(words, (one,)) != _words(words, (other,)):
                yield _words(words, (one,))


def _words(words: BoxTexts, items: TextItems) -> str:
    return "–".join(words.box(box).plain for box in drawn_boxes(items))


def drawn_boxes(items: TextItems) -> Iterator[LayerText | BlockText]:
    """The boxes of a sequence, in order; not those inside of blocks, nor the circles of joins."""
    for item in items:
        if isinstance(item, LayerText | BlockText):
            yield item
        elif not isinstance(item, LetText):
            for inner in child_sequences(item):
                yield from drawn_boxes(inner)


def _skeleton(words: BoxTexts, items: TextItems) -> Hashable:
    return tuple(_skeleton_of(words, item) for item in items)


def _skeleton_of(words: BoxTexts, item: TextItem) -> Hashable:
    match item:
        case LayerText() | BlockText():
            return words.box(item, "")
        case MergeText(_, operands):
            return item.op, *(_skeleton(words, operand) for operand in operands)
        case RepeatText(inner, count):
            return count, _skeleton(words, inner)
        case ReadText() | LetText():
            return item_text(item)


def _ratio(width: str, c: str) -> int:
    """How many times the c of a call a width is; 0: not a whole number of times."""
    if not (c.isdecimal() and width.isdecimal()) or int(width) % int(c):
        return 0
    return int(width) // int(c)
