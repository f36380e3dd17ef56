"""A network as the items of a diagram: layers, block calls, repeats, merges and edges."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, zip_longest

from sewdsl.draw.style import CALL, FamilyStyle, layer_style
from sewdsl.ir import structure
from sewdsl.ir.network import Network
from sewdsl.ir.node import PathStep
from sewdsl.ir.op import JOIN_OPERANDS, Join, Merge
from sewdsl.ir.signal import Signal


@dataclass(frozen=True)
class PictureLayer:
    """One drawn layer.

    Attributes:
        nodes: Indices of the nodes it represents, one per folded copy, in order; the first is the one drawn.
    """

    nodes: tuple[int, ...]


@dataclass(frozen=True)
class PictureCall(PictureLayer):
    """A call of a block that is drawn as one box, since what it is made of is drawn elsewhere.

    Its ``nodes`` are those that give its output.

    Attributes:
        arguments: Those of the call: ``c128s2``; perhaps none.
        inside: The nodes of each folded copy.
        note: Which copies it represents, if there are several: ``×3``.
    """

    title: str = ""
    arguments: str = ""
    inside: tuple[tuple[int, ...], ...] = ()
    note: str = ""


@dataclass(frozen=True)
class PictureReadout:
    """The end of the picture: the output read out over time."""

    source: int


@dataclass(frozen=True)
class PictureBlock:
    """A call of a named block, or a named value.

    Attributes:
        value: Whether it is a named value, which may be read by others than what follows it.
        gives: The layer whose output alone is read outside, if that is not the last.
    """

    label: str
    items: PictureItems
    value: bool = False
    gives: PictureLayer | None = None
    arguments: str = ""
    note: str = ""


@dataclass(frozen=True)
class PictureRepeat:
    """Copies ``first`` to ``last`` of ``copies``, all of one structure, drawn once.

    Attributes:
        first: The copy drawn, from 1.
        last: The last copy that looks the same.
        outputs: The last node of each copy; inside another fold, of those in the first copy of that.
        key: The way to the repeat, ``repeat1``, by which it can be drawn unfolded; within a fold, in its first copy.
        compared: The first of its copies and, if others follow that look different, the first of those.
    """

    first: int
    last: int
    copies: int
    outputs: tuple[int, ...]
    items: PictureItems
    key: str = ""
    compared: tuple[PictureItems, PictureItems] | None = None


@dataclass(frozen=True)
class PictureMerge:
    """A merge with its operands, side by side; an empty one is the identity."""

    operands: tuple[PictureItems, ...]
    layer: PictureLayer


@dataclass(frozen=True)
class PictureLoop:
    """A loop: the sum that it begins with, its body, and the way back from there to the sum.

    Attributes:
        body: What is on the way on; none where the loop gives the sum itself.
        feedback: What is on the way back, the delay first.
    """

    layer: PictureLayer
    body: PictureItems
    feedback: PictureItems

    @property
    def delay(self) -> PictureLayer:
        """What the way back begins with."""
        return entry_of(self.feedback)

    @cached_property
    def row(self) -> PictureItems:
        """The sum and the body."""
        return self.layer, *self.body


PictureItem = PictureLayer | PictureReadout | PictureBlock | PictureRepeat | PictureMerge | PictureLoop
PictureItems = tuple[PictureItem, ...]
Edge = tuple[PictureLayer, PictureLayer, int]
"""Source, target, and which operand of the target."""


def entry_of(items: PictureItems) -> PictureLayer:
    """The first of some items, which is a layer."""
    layer = items[0]
    assert isinstance(layer, PictureLayer)  # noqa: S101 -- loops are made so
    return layer


def inner_rows(item: PictureItem) -> tuple[PictureItems, ...]:
    """The rows that an item is made of, in order of computation; none of a layer."""
    match item:
        case PictureBlock() | PictureRepeat():
            return (item.items,)
        case PictureMerge(operands, layer):
            return *operands, (layer,)
        case PictureLoop(layer, body, feedback):
            return feedback, (layer,), body
        case PictureLayer() | PictureReadout():
            return ()


def _with_rows(item: PictureItem, rows: Iterable[PictureItems]) -> PictureItem:
    """The item, made of other rows."""
    match item:
        case PictureBlock() | PictureRepeat():
            (inner,) = rows
            return replace(item, items=inner)
        case PictureMerge():
            *operands, merge = rows
            return PictureMerge(tuple(operands), entry_of(merge))
        case PictureLoop():
            feedback, merge, body = rows
            return PictureLoop(entry_of(merge), body, feedback)
        case PictureLayer() | PictureReadout():
            return item


def drawn_layers(items: PictureItems) -> Iterator[PictureLayer]:
    """All drawn layers, in order of computation."""
    for item in items:
        if isinstance(item, PictureLayer):
            yield item
        for row in inner_rows(item):
            yield from drawn_layers(row)


def exit_layer(item: PictureItem) -> PictureLayer:
    """The layer whose output is the item's.

    Raises:
        ValueError: the item is the readout, which nothing follows.
    """
    match item:
        case PictureLayer():
            return item
        case PictureBlock(gives=PictureLayer() as given):
            return given
        case PictureBlock() | PictureRepeat():
            return exit_layer(item.items[-1])
        case PictureMerge():
            return item.layer
        case PictureLoop(layer, body):
            return exit_layer(body[-1]) if body else layer
        case PictureReadout():
            raise ValueError("nothing follows the readout")


def entry_layer(item: PictureItem) -> PictureLayer | None:
    """The layer that reads the item's input first; None for the readout."""
    match item:
        case PictureLayer():
            return item
        case PictureBlock() | PictureRepeat():
            return entry_layer(item.items[0])
        case PictureMerge(operands, layer):
            return entry_layer(next((operand[0] for operand in operands if operand), layer))
        case PictureLoop(layer):
            return layer
        case PictureReadout():
            return None


def framed_items(item: PictureBlock | PictureRepeat) -> tuple[PictureItems, PictureLayer | None]:
    """Return the items in the frame of a block or repeat, and the layer that it gives if that is not the last.

    A repeat of one block shares the block's frame.
    """
    match item:
        case PictureRepeat(items=(PictureBlock(value=False) as block,)):
            return block.items, block.gives
        case PictureBlock():
            return item.items, item.gives
        case PictureRepeat():
            return item.items, None


def loops_in(items: PictureItems) -> Iterator[PictureLoop]:
    """All loops, each before those in it."""
    for item in items:
        if isinstance(item, PictureLoop):
            yield item
        for row in inner_rows(item):
            yield from loops_in(row)


class Wiring:
    """The edges of a picture."""

    def __init__(self, network: Network, items: PictureItems) -> None:
        self.network = network
        self.layers = tuple(drawn_layers(items))
        self._looped = {loop.delay for loop in loops_in(items)}
        self._drawn = {
            index: layer for layer in self.layers for copy in _copies(layer) for index in (*copy, *layer.nodes)
        }
        self._read = {layer: tuple(outside_sources(network, copy) for copy in _copies(layer)) for layer in self.layers}

    def name(self, layer: PictureLayer) -> str:
        """The name of the node that is drawn."""
        return self.network.nodes[layer.nodes[0]].name

    def is_join(self, layer: PictureLayer) -> bool:
        """Whether it is drawn as a circle: branch and shortcut, or what is fed back, meet in it."""
        node = self.network.nodes[layer.nodes[0]]
        return (
            not isinstance(layer, PictureCall) and isinstance(node.op, Join) and len(node.inputs) == len(JOIN_OPERANDS)
        )

    def style(self, layer: PictureLayer) -> FamilyStyle:
        """What a layer looks like."""
        return CALL if isinstance(layer, PictureCall) else layer_style(self.network.nodes[layer.nodes[0]].op)

    def unseen_source(self, layer: PictureLayer) -> str:
        """The value that a delay gives, ``h[t-1]``, if no line leads to it; else empty."""
        node = self.network.nodes[layer.nodes[0]]
        if not node.feeds_back or layer in self._looped or isinstance(layer, PictureCall):
            return ""
        source = self.network.nodes[node.sources[0]]
        name = next((step.label for step in reversed(source.path) if step.kind == "value"), source.name)
        return f"{name}[t-1]"

    def operand_names(self, layer: PictureLayer) -> tuple[str, ...]:
        """What the operands of a merge are called, if they have names of their own: ``q``, ``k``, ``v``."""
        op = self.network.nodes[layer.nodes[0]].op
        return op.operand_names if isinstance(op, Merge) and not isinstance(layer, PictureCall) else ()

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """(source, target, operand) of the nodes drawn; of a join, operand 0 is the branch and 1 the shortcut.

        Of what leads backward only what a loop has: other delays name what they give back.
        """
        return tuple(edge for edge in self.all_edges if not self.unseen_source(edge[1]))

    @cached_property
    def all_edges(self) -> tuple[Edge, ...]:
        """The same, with all that lead backward."""
        return tuple(
            (self._drawn[source], target, operand)
            for target in self.layers
            for operand, source in enumerate(self._read[target][0])
        )

    @property
    def readout(self) -> PictureLayer:
        """The layer whose output is read out."""
        return self._drawn[self.network.output]

    def carried(self, target: PictureLayer, operand: int = 0) -> tuple[Signal, ...]:
        """What an input carries in each copy."""
        nodes = self.network.nodes
        return tuple(nodes[read[operand]].output for read in self._read[target] if operand < len(read))

    def between(self, source: PictureLayer, target: PictureLayer | None) -> tuple[int, ...]:
        """The nodes of one layer that another reads, or the readout if there is no other."""
        if target is None:
            return (self.network.output,) if self.network.output in source.nodes else ()
        read = {i for sources in self._read[target] for i in sources}
        return tuple(i for i in source.nodes if i in read)

    def signals(self, indices: tuple[int, ...]) -> tuple[Signal, ...]:
        """What nodes give."""
        return tuple(self.network.nodes[i].output for i in indices)

    def is_static(self, signals: tuple[Signal, ...]) -> bool:
        """Whether these are the same at every one of several time-steps."""
        return self.network.settings.steps > 1 and not any(signal.varies for signal in signals)

    def changes_shape(self, index: int) -> bool:
        """Whether a node gives another shape than it reads; the input does."""
        node = self.network.nodes[index]
        return not node.sources or any(s.shape != node.output.shape for s in self.network.inputs(node))

    def changes_count(self, index: int) -> bool:
        """Whether a node gives counts beyond 0 and 1 in another range than it reads."""
        node = self.network.nodes[index]
        count = node.output.values.count
        return (
            count is not None and count > 1 and any(s.values != node.output.values for s in self.network.inputs(node))
        )


Unfolded = bool | Collection[str]
"""Which repeats are drawn copy by copy: all, none, or those with these keys."""


def picture_items(
    network: Network, *, expand: Unfolded = False, collapse: bool = False, depth: int | None = None
) -> PictureItems:
    """The tree of a network, with its readout at the end.

    Args:
        expand: Draw every copy of a repeat, or of those with these keys. Otherwise neighbouring copies of the same
            structure (the same ops, wired the same way; shapes may differ) become one
            :class:`PictureRepeat`.
        collapse: Draw what a block is made of once, and as a :class:`PictureCall` from then on. Calls that differ in
            widths and strides only are of one block.
        depth: How many levels of blocks and repeats are drawn in full; deeper ones are a :class:`PictureCall` each.
            None: all.
    """
    folder = _Folder(network, expand=expand)
    items = folder.sequence(network.nesting, "")
    if collapse or depth is not None:
        boxer = _Boxer(network, collapse=collapse, depth=depth)
        boxer.sequence(items)  # finds how many blocks share a name
        boxer.number_blocks()
        items = boxer.sequence(items)
    return (*items, PictureReadout(network.output))


def frame_depth(items: PictureItems) -> int:
    """Return how many frames of blocks and repeats are one in another, at most."""
    depths = [0]
    for item in items:
        match item:
            case PictureRepeat() | PictureBlock(value=False):
                depths.append(1 + frame_depth(framed_items(item)[0]))
            case _:
                depths += map(frame_depth, inner_rows(item))
    return max(depths)


def _copies(layer: PictureLayer) -> tuple[tuple[int, ...], ...]:
    """The nodes of each copy that a layer represents."""
    return layer.inside if isinstance(layer, PictureCall) else tuple((index,) for index in layer.nodes)


def outside_sources(network: Network, indices: Sequence[int]) -> tuple[int, ...]:
    """What nodes read of others: of one node, by operand; of several, each other node once."""
    if len(indices) == 1:
        return tuple(network.nodes[indices[0]].sources)
    inside = set(indices)
    return tuple(dict.fromkeys(i for index in indices for i in network.nodes[index].sources if i not in inside))


class _Boxer:
    """Draws blocks as boxes that were drawn before, or that are nested deeply."""

    def __init__(self, network: Network, *, collapse: bool, depth: int | None) -> None:
        self._network, self._readers = network, network.graph.consumers
        self._collapse, self._depth = collapse, depth
        self._variants: dict[str, dict[Hashable, int]] = {}
        self._numbered = False
        self._seen: set[tuple[str, Hashable]] = set()

    def number_blocks(self) -> None:
        """Begin again, and tell blocks that share a name apart."""
        self._numbered = True
        self._seen.clear()

    def sequence(self, items: PictureItems, level: int = 0, copies: int = 1) -> PictureItems:
        """The items, with blocks as boxes.

        Args:
            level: How many blocks and repeats they are in.
            copies: How many copies of them there are, in repeats that are folded.
        """
        return tuple(self._item(item, level, copies) for item in items)

    def _item(self, item: PictureItem, level: int, copies: int) -> PictureItem:
        match item:
            case PictureBlock(value=False):
                return self._block(item, level, copies)
            case PictureRepeat():
                return self._repeat(item, level, copies)
            case _:
                return _with_rows(item, (self.sequence(row, level, copies) for row in inner_rows(item)))

    def _repeat(self, fold: PictureRepeat, level: int, copies: int) -> PictureItem:
        copies *= fold.last - fold.first + 1
        match fold.items:
            case (PictureBlock(value=False) as block,):  # shares the block's frame
                inside = self._block(block, level, copies)
                match inside:
                    case PictureCall():
                        return replace(inside, note=copies_text(fold))
                    case PictureMerge(operands, PictureCall() as call):
                        return PictureMerge(operands, replace(call, note=copies_text(fold)))
                return replace(fold, items=(inside,))
        if self._depth is not None and level >= self._depth:
            box = self._call(fold.items, self._summary(fold.items), "", copies, copies_text(fold))
            if box is not None:
                return box
        return replace(fold, items=self.sequence(fold.items, level + 1, copies))

    def _block(self, block: PictureBlock, level: int, copies: int) -> PictureItem:
        kind = _outline(block.items, self._layer_kind, lambda fold: fold.last - fold.first)
        alike = self._variants.setdefault(block.label, {})
        number = alike.setdefault(kind, len(alike))
        letters = f" {_letters(number)}" if self._numbered and self._collapse and len(alike) > 1 else ""
        title, arguments = f"{block.label.strip() or 'block'}{letters}", block.arguments.removesuffix("s1")
        is_deep = self._depth is not None and level >= self._depth
        if is_deep or (self._collapse and (block.label, kind) in self._seen):
            call = self._call(block.items, title, arguments, copies)
            if call is not None:
                return call
        self._seen.add((block.label, kind))
        items, gives = self.sequence(block.items, level + 1, copies), block.gives
        if gives is not None:  # the box that its layer may now be in
            gives = next(layer for layer in drawn_layers(items) if gives.nodes[0] in layer.nodes)
        note = arguments if self._collapse else block.note
        return replace(block, label=title if self._collapse else block.label, note=note, items=items, gives=gives)

    def _call(
        self, items: PictureItems, title: str, arguments: str, copies: int, note: str = ""
    ) -> PictureCall | PictureMerge | None:
        """Items as a box, which reads several values as a merge does; None: others read more than one of its values."""
        insides: list[list[int]] = [[] for _ in range(copies)]
        for layer in drawn_layers(items):  # one node for each copy, and for each of those in it
            each = len(layer.nodes) // copies
            for number, inside in enumerate(insides):
                inside.extend(layer.nodes[number * each : (number + 1) * each])
        outputs, sources = [], []
        for inside in insides:
            inside.sort()
            own = set(inside)
            out = [i for i in inside if i in self._network.given or not own.issuperset(self._readers[i])]
            if len(out) != 1:
                return None
            outputs += out
            sources.append(outside_sources(self._network, inside))
        if len(set(map(len, sources))) > 1:
            return None
        call = PictureCall(tuple(outputs), title, arguments, tuple(map(tuple, insides)), note)
        return call if len(sources[0]) <= 1 else PictureMerge(((),) * len(sources[0]), call)

    def _summary(self, items: PictureItems) -> str:
        """What some items are, in a few words: ``c-BN-IF``."""
        words = []
        for item in items:
            match item:
                case PictureBlock(label):
                    words.append(label.strip() or "block")
                case PictureRepeat():
                    words.append(f"{{{self._summary(item.items)}}}")
                case PictureMerge(layer=layer) | PictureLoop(layer=layer):
                    words.append(self._network.nodes[layer.nodes[0]].op.kind)
                case PictureLayer(drawn):
                    words.append(self._network.nodes[drawn[0]].op.kind)
                case PictureReadout():
                    pass
        return "-".join(words)

    def _layer_kind(self, layer: PictureLayer) -> Hashable:
        """What must be equal of the layers of two blocks for these to be one: all but widths and strides."""
        node = self._network.nodes[layer.nodes[0]]
        letters = node.op.letters()
        width = getattr(node.op, letters[""]) if "" in letters else None
        varied = {letters.get(""), letters.get("s")}
        values = [(name, "width" if value == width else value) for name, value in node.op if name not in varied]
        return node.op.kind, tuple(values), node.feeds_back


def _outline(
    items: PictureItems,
    layer_kind: Callable[[PictureLayer], Hashable],
    repeat_kind: Callable[[PictureRepeat], Hashable],
) -> Hashable:
    """What is equal for items that look the same."""

    def outline(item: PictureItem) -> Hashable:
        match item:
            case PictureLayer():
                return layer_kind(item)
            case PictureBlock(label, _, value):
                own: Hashable = (label, value)
            case PictureRepeat():
                own = repeat_kind(item)
            case _:
                own = type(item).__name__
        return own, *(tuple(map(outline, row)) for row in inner_rows(item))

    return tuple(map(outline, items))


def copies_text(fold: PictureRepeat) -> str:
    """Which copies a fold represents."""
    count = fold.last - fold.first + 1
    return f"copy {fold.first}" if count == 1 else f"×{count}"


def _letters(number: int) -> str:
    """A to Z, then AA."""
    return (_letters(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)  # noqa: PLR2004


class _Folder:
    def __init__(self, network: Network, *, expand: Unfolded) -> None:
        self._nodes, self._given, self._expand = network.nodes, network.given, expand
        self._readers = network.graph.consumers
        self._outputs: dict[int, set[str]] = {}
        for name, index in network.outputs:
            self._outputs.setdefault(index, set()).add(name)

    def sequence(self, items: structure.Items, prefix: str) -> PictureItems:
        """The drawn items of a sequence; ``prefix`` is the key of what it is in, with a dot."""
        return tuple(drawn for item in items for drawn in self._draw(item, prefix))

    def _draw(self, item: structure.Item, prefix: str) -> PictureItems:
        match item:
            case structure.LayerItem(node):
                return (PictureLayer((node,)),)
            case structure.MergeItem(node, operands, steps):
                prefixes = (f"{prefix}{step.key}." if step else prefix for step in steps)
                return (PictureMerge(tuple(map(self.sequence, operands, prefixes)), PictureLayer((node,))),)
            case structure.BlockItem(step, items):
                inside = self.sequence(items, f"{prefix}{step.key}.")
                gives = self._given_by(item, inside)
                return (PictureBlock(step.label, inside, gives=gives, arguments=step.arguments),)
            case structure.ValueItem(step, items):
                inside = self.sequence(items, f"{prefix}{step.key}.")
                if step.kind != "value":
                    return inside
                last = exit_layer(inside[-1]).nodes if inside else ()
                given = any(step.label in self._outputs.get(index, ()) for index in last)
                label = f"{step.label} · output" if given else step.label
                return (PictureBlock(label, inside, value=True),)
            case structure.LoopItem(node, delay, body, feedback, steps):
                ways = [f"{prefix}{step.key}." if step else prefix for step in steps]
                back = PictureLayer((delay,)), *self.sequence(feedback, ways[-1])
                return (PictureLoop(PictureLayer((node,)), self.sequence(body, ways[0]), back),)
            case structure.ReadItem() | structure.DelayedItem():
                return ()  # only the view by edges has these
            case structure.RepeatItem(steps, copies):
                sequences = [
                    (step, self.sequence(copy, f"{prefix}{step.key}."))
                    for step, copy in zip(steps, copies, strict=True)
                ]
                return self._repeat(sequences, f"{prefix}{steps[0].key}".rpartition(".")[0])

    def _given_by(self, block: structure.BlockItem, items: PictureItems) -> PictureLayer | None:
        """The layer of a block whose output alone is read outside, if it is not its last."""
        inside = {*structure.nodes((block,))}
        given = {i for i in inside if i in self._given or not inside.issuperset(self._readers[i])}
        if len(given) != 1 or given.issubset(exit_layer(items[-1]).nodes):
            return None
        return next(layer for layer in drawn_layers(items) if given.issubset(layer.nodes))

    def _repeat(self, copies: list[tuple[PathStep, PictureItems]], key: str) -> PictureItems:
        expand = self._expand if isinstance(self._expand, bool) else key in self._expand
        if expand or len(copies) <= 1:
            return tuple(item for _, items in copies for item in items)
        runs = [list(run) for _, run in groupby(copies, lambda copy: self._structure(copy[1]))]
        folded: list[PictureItem] = []
        for run, following in zip_longest(runs, runs[1:]):
            (begin, _), (end, _) = run[0], run[-1]
            outputs = tuple(exit_layer(items[-1]).nodes[-1] for _, items in run)
            merged = _merged([items for _, items in run])
            compared = (run[0][1], following[0][1]) if following else None
            folded.append(PictureRepeat(begin.copy, end.copy, begin.copies, outputs, merged, key, compared))
        return tuple(folded)

    def _structure(self, items: PictureItems) -> Hashable:
        """What must be equal for two copies to be drawn as one."""

        def layer_kind(layer: PictureLayer) -> Hashable:
            index = layer.nodes[0]
            node = self._nodes[index]
            return node.op, node.feeds_back, tuple(index - source for source in node.sources)

        return _outline(items, layer_kind, lambda fold: (fold.first, fold.last, fold.copies))


def _merged(sequences: Iterable[PictureItems]) -> PictureItems:
    """Sequences of one structure as one, whose layers represent the nodes of all."""
    return tuple(_merge(items) for items in zip(*sequences, strict=True))


def _merge(items: Sequence[PictureItem]) -> PictureItem:
    if isinstance(items[0], PictureLayer):
        return _all(item for item in items if isinstance(item, PictureLayer))
    merged = _with_rows(items[0], map(_merged, zip(*map(inner_rows, items), strict=True)))
    if isinstance(merged, PictureBlock):
        given = [item.gives for item in items if isinstance(item, PictureBlock) and item.gives is not None]
        return replace(merged, gives=_all(given) if given else None)
    return merged


def _all(layers: Iterable[PictureLayer]) -> PictureLayer:
    return PictureLayer(tuple(index for layer in layers for index in layer.nodes))
