"""A network as items of a diagram: layers, block calls, repeats, merges and edges."""

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
    """Drawn layer, with a node for each folded copy, in order. The first one is drawn."""

    nodes: tuple[int, ...]


@dataclass(frozen=True)
class PictureCall(PictureLayer):
    """Call of a block, drawn as one box because its content is drawn elsewhere.

    Its ``nodes`` have the outputs of the block.
    """

    title: str = ""
    arguments: str = ""
    """Arguments of the call, ``c128s2``. May be empty."""
    inside: tuple[tuple[int, ...], ...] = ()
    """Nodes of each folded copy."""
    note: str = ""
    """Number of copies, if there are several: ``×3``."""
    shared: bool = False
    """Whether it is a further call of a part, which has a double border."""


@dataclass(frozen=True)
class PictureReadout:
    """End of the picture: the readout of the output over time."""

    source: int


@dataclass(frozen=True)
class PictureBlock:
    """Call of a block, or a named value."""

    label: str
    items: PictureItems
    value: bool = False
    """Whether it is a named value, with readers other than the next item."""
    gives: PictureLayer | None = None
    """Layer with its output, if that is not the last layer."""
    arguments: str = ""
    note: str = ""
    shared: bool = False
    """Whether it is a further call of a part, whose first call is drawn in a frame."""


@dataclass(frozen=True)
class PictureRepeat:
    """Copies ``first`` to ``last`` of ``copies`` with equal structure, drawn once."""

    first: int
    """Number of the drawn copy, from 1."""
    last: int
    """Number of the last copy with the same structure."""
    copies: int
    outputs: tuple[int, ...]
    """Last node of each copy. Inside another fold, of the copies in the first copy of that fold."""
    items: PictureItems
    key: str = ""
    """Path of the repeat, ``repeat1``, for the option ``expand``. Inside another fold, in the first copy."""
    compared: tuple[PictureItems, PictureItems] | None = None
    """The first copy, and the first of the following copies with another structure, if any."""


@dataclass(frozen=True)
class PictureMerge:
    """Merge with its operands side by side. An empty operand is the identity."""

    operands: tuple[PictureItems, ...]
    layer: PictureLayer


@dataclass(frozen=True)
class PictureLoop:
    """Loop: the sum at its start, its body, and its feedback."""

    layer: PictureLayer
    body: PictureItems
    """Items of the body. Empty if the output of the loop is the sum."""
    feedback: PictureItems
    """Items of the feedback, starting with the delay."""

    @property
    def delay(self) -> PictureLayer:
        """Delay at the start of the feedback."""
        return entry_of(self.feedback)

    @cached_property
    def row(self) -> PictureItems:
        """Sum and body."""
        return self.layer, *self.body


PictureItem = PictureLayer | PictureReadout | PictureBlock | PictureRepeat | PictureMerge | PictureLoop
PictureItems = tuple[PictureItem, ...]
Edge = tuple[PictureLayer, PictureLayer, int]
"""Source, target, and operand index of the target."""


def entry_of(items: PictureItems) -> PictureLayer:
    """Return the first item, a layer."""
    layer = items[0]
    assert isinstance(layer, PictureLayer)  # noqa: S101 -- loops are made so
    return layer


def inner_rows(item: PictureItem) -> tuple[PictureItems, ...]:
    """Return the rows of items in an item, in order of computation. A layer has none."""
    match item:
        case PictureBlock() | PictureRepeat():
            return (item.items,)
        case PictureMerge(operands, layer):
            return *operands, (layer,)
        # The feedback starts with the delay, whose value is computed first.
        case PictureLoop(layer, body, feedback):
            return feedback, (layer,), body
        case PictureLayer() | PictureReadout():
            return ()


def _with_rows(item: PictureItem, rows: Iterable[PictureItems]) -> PictureItem:
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


def walk_items(items: PictureItems) -> Iterator[PictureItem]:
    """Yield all items in order of computation, each before the items in it."""
    for item in items:
        yield item
        for row in inner_rows(item):
            yield from walk_items(row)


def drawn_layers(items: PictureItems) -> Iterator[PictureLayer]:
    """Yield all drawn layers in order of computation."""
    return (item for item in walk_items(items) if isinstance(item, PictureLayer))


def exit_layer(item: PictureItem) -> PictureLayer:
    """Return the layer with the output of an item, or raise ValueError for the readout."""
    match item:
        case PictureLayer():
            return item
        case PictureBlock(gives=PictureLayer() as layer_of_output):
            return layer_of_output
        case PictureBlock() | PictureRepeat():
            return exit_layer(item.items[-1])
        case PictureMerge():
            return item.layer
        case PictureLoop(layer, body):
            return exit_layer(body[-1]) if body else layer
        case PictureReadout():
            raise ValueError("the readout has no output")


def entry_layer(item: PictureItem) -> PictureLayer | None:
    """Return the first layer that reads the input of an item, or None for the readout."""
    match item:
        case PictureLayer():
            return item
        case PictureBlock() | PictureRepeat():
            return entry_layer(item.items[0])
        # An identity operand has no layers.
        case PictureMerge(operands, layer):
            return entry_layer(next((operand[0] for operand in operands if operand), layer))
        case PictureLoop(layer):
            return layer
        case PictureReadout():
            return None


def framed_items(item: PictureBlock | PictureRepeat) -> tuple[PictureItems, PictureLayer | None]:
    """Return the items in the frame of a block or repeat, and the layer with its output if that is not the last.

    A repeat of a single block shares the frame of the block.
    """
    match item:
        case PictureRepeat(items=(PictureBlock(value=False) as block,)):
            return block.items, block.gives
        case PictureBlock():
            return item.items, item.gives
        case PictureRepeat():
            return item.items, None


class Wiring:
    """Edges of a picture."""

    def __init__(self, network: Network, items: PictureItems) -> None:
        self.network = network
        self.layers = tuple(drawn_layers(items))
        self._loop_delays = {item.delay for item in walk_items(items) if isinstance(item, PictureLoop)}
        self._drawn = {
            index: layer for layer in self.layers for copy in _copies(layer) for index in (*copy, *layer.nodes)
        }
        self._read = {layer: tuple(outside_sources(network, copy) for copy in _copies(layer)) for layer in self.layers}

    def name(self, layer: PictureLayer) -> str:
        """Return the name of the drawn node of a layer."""
        return self.network.nodes[layer.nodes[0]].name

    def is_join(self, layer: PictureLayer) -> bool:
        """Return whether a layer is drawn as a circle: a join of two operands."""
        node = self.network.nodes[layer.nodes[0]]
        return (
            not isinstance(layer, PictureCall) and isinstance(node.op, Join) and len(node.inputs) == len(JOIN_OPERANDS)
        )

    def style(self, layer: PictureLayer) -> FamilyStyle:
        """Return the style of a layer."""
        return CALL if isinstance(layer, PictureCall) else layer_style(self.network.nodes[layer.nodes[0]].op)

    def unseen_source(self, layer: PictureLayer) -> str:
        """Return the name of the value that a delay reads, ``h[t-1]``, if no line shows it, else an empty text."""
        node = self.network.nodes[layer.nodes[0]]
        if not node.feeds_back or layer in self._loop_delays or isinstance(layer, PictureCall):
            return ""
        source = self.network.nodes[node.sources[0]]
        name = next((step.label for step in reversed(source.path) if step.kind == "value"), source.name)
        return f"{name}[t-{node.op.delay_steps}]"

    def operand_names(self, layer: PictureLayer) -> tuple[str, ...]:
        """Return the names of a merge's operands, e.g. ``q``, ``k``, ``v``. Most merges have none."""
        op = self.network.nodes[layer.nodes[0]].op
        return op.operand_names if isinstance(op, Merge) and not isinstance(layer, PictureCall) else ()

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """Edges (source, target, operand) of the drawn nodes.

        Operand 0 of a join is the branch, 1 the shortcut.

        Backward edges are included for loops only: other delays show the name of their source.
        """
        return tuple(edge for edge in self.all_edges if not self.unseen_source(edge[1]))

    @cached_property
    def all_edges(self) -> tuple[Edge, ...]:
        """All edges, including all backward edges."""
        return tuple(
            (self._drawn[source], target, operand)
            for target in self.layers
            for operand, source in enumerate(self._read[target][0])
            if source in self._drawn  # A node without elements, which named inputs read, is not drawn.
        )

    @property
    def readout(self) -> PictureLayer:
        """Layer whose output is read out."""
        return self._drawn[self.network.output]

    def carried(self, target: PictureLayer, operand: int = 0) -> tuple[Signal, ...]:
        """Return the signals of an input, one per copy."""
        nodes = self.network.nodes
        return tuple(nodes[read[operand]].output for read in self._read[target] if operand < len(read))

    def between(self, source: PictureLayer, target: PictureLayer | None) -> tuple[int, ...]:
        """Return the nodes of one layer that another layer, or the readout, reads."""
        if target is None:
            return (self.network.output,) if self.network.output in source.nodes else ()
        read = {i for sources in self._read[target] for i in sources}
        return tuple(i for i in source.nodes if i in read)

    def signals(self, indices: tuple[int, ...]) -> tuple[Signal, ...]:
        """Return the output signals of some nodes."""
        return tuple(self.network.nodes[i].output for i in indices)

    def is_static(self, signals: tuple[Signal, ...]) -> bool:
        """Return whether signals are constant over several time-steps."""
        return self.network.settings.steps > 1 and not any(signal.varies for signal in signals)

    def changes_shape(self, index: int) -> bool:
        """Return whether the output shape of a node differs from an input shape.

        True for the input.
        """
        node = self.network.nodes[index]
        return index < self.network.first_layer or any(s.shape != node.output.shape for s in self.network.inputs(node))

    def changes_count(self, index: int) -> bool:
        """Return whether a node outputs counts above 1 in another range than its inputs."""
        node = self.network.nodes[index]
        count = node.output.values.count
        return (
            count is not None and count > 1 and any(s.values != node.output.values for s in self.network.inputs(node))
        )


Unfolded = bool | Collection[str]
"""Repeats to draw copy by copy: all, none, or those with the given keys."""


def picture_items(
    network: Network, *, expand: Unfolded = False, collapse: bool = False, depth: int | None = None
) -> PictureItems:
    """Return the items of a network, ending with its readout.

    Args:
        expand: Draw every copy of a repeat, or of the repeats with the given keys. Otherwise, consecutive copies of
            equal structure (same operations and wiring, possibly other shapes) become one :class:`PictureRepeat`.
        collapse: Draw the content of a block once, and later calls as a :class:`PictureCall`. Calls that differ in
            widths and strides only belong to one block.
        depth: Number of levels of blocks and repeats to draw in full. Deeper ones become a :class:`PictureCall`.
            Default: all.
    """
    folder = _Folder(network, expand=expand)
    items = folder.sequence(network.nesting[min(network.input_indices) :], "")
    if collapse or depth is not None or network.users:
        boxer = _Boxer(network, collapse=collapse, depth=depth)
        boxer.sequence(items)  # First pass: count the different blocks of each name.
        boxer.number_blocks()
        items = boxer.sequence(items)
    return (*items, PictureReadout(network.output))


def readout_text(network: Network) -> str:
    """Return the text of the readout, ``mean over 16 steps``, or an empty text for a single time-step."""
    settings = network.settings
    texts = {"mean": f"mean over {settings.steps} steps", "sum": f"sum of {settings.steps} steps", "last": "last step"}
    return texts[settings.readout] if settings.steps > 1 else ""


def frame_depth(items: PictureItems) -> int:
    """Return the maximum nesting depth of frames."""
    depths = [0]
    for item in items:
        match item:
            case PictureRepeat() | PictureBlock(value=False):
                depths.append(1 + frame_depth(framed_items(item)[0]))
            case _:
                depths += map(frame_depth, inner_rows(item))
    return max(depths)


def _copies(layer: PictureLayer) -> tuple[tuple[int, ...], ...]:
    return layer.inside if isinstance(layer, PictureCall) else tuple((index,) for index in layer.nodes)


def outside_sources(network: Network, indices: Sequence[int]) -> tuple[int, ...]:
    """Return the outside sources of some nodes: for one node by operand, for several without duplicates."""
    if len(indices) == 1:
        return tuple(network.nodes[indices[0]].sources)
    inside = set(indices)
    return tuple(dict.fromkeys(i for index in indices for i in network.nodes[index].sources if i not in inside))


class _Boxer:
    """Replacement of blocks by boxes, if they were drawn before or are nested too deeply."""

    def __init__(self, network: Network, *, collapse: bool, depth: int | None) -> None:
        self._network, self._readers = network, network.graph.consumers
        self._collapse, self._depth = collapse, depth
        self._variants: dict[str, dict[Hashable, int]] = {}
        self._numbered = False
        self._seen: set[tuple[str, Hashable]] = set()

    def number_blocks(self) -> None:
        """Restart, and add letters to blocks with the same name."""
        self._numbered = True
        self._seen.clear()

    def sequence(self, items: PictureItems, level: int = 0, copies: int = 1) -> PictureItems:
        """Return the items with boxes in place of blocks.

        Args:
            level: Number of enclosing blocks and repeats.
            copies: Number of copies of the items in folded repeats.
        """
        return tuple(self._item(item, level, copies) for item in items)

    def _item(self, item: PictureItem, level: int, copies: int) -> PictureItem:
        """Return an item with boxes in place of blocks."""
        match item:
            case PictureBlock(value=False):
                return self._block(item, level, copies)
            case PictureRepeat():
                return self._repeat(item, level, copies)
            case _:
                return _with_rows(item, (self.sequence(row, level, copies) for row in inner_rows(item)))

    def _repeat(self, fold: PictureRepeat, level: int, copies: int) -> PictureItem:
        """Return a fold with boxes in place of blocks, or as a box."""
        copies *= fold.last - fold.first + 1
        match fold.items:
            case (PictureBlock(value=False) as block,):  # The fold shares the block's frame.
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
        """Return a block with boxes in place of inner blocks, or as a box."""
        outline_key = _outline(block.items, self._layer_kind, lambda fold: fold.last - fold.first)
        variants = self._variants.setdefault(block.label, {})
        index = variants.setdefault(outline_key, len(variants))
        letters = f" {_letters(index)}" if self._numbered and self._collapse and len(variants) > 1 else ""
        # A stride of 1 is omitted.
        title, arguments = f"{block.label.strip() or 'block'}{letters}", block.arguments.removesuffix("s1")
        is_deep = self._depth is not None and level >= self._depth
        if block.shared or is_deep or (self._collapse and (block.label, outline_key) in self._seen):
            call = self._call(block.items, title, arguments, copies, shared=block.shared)
            if call is not None:
                return call
        self._seen.add((block.label, outline_key))
        items, output_layer = self.sequence(block.items, level + 1, copies), block.gives
        if output_layer is not None:  # The layer may now be part of a box.
            output_layer = next(layer for layer in drawn_layers(items) if output_layer.nodes[0] in layer.nodes)
        note = arguments if self._collapse else block.note
        return replace(
            block, label=title if self._collapse else block.label, note=note, items=items, gives=output_layer
        )

    def _call(
        self, items: PictureItems, title: str, arguments: str, copies: int, note: str = "", *, shared: bool = False
    ) -> PictureCall | PictureMerge | None:
        """Return items as a box, or None if they have several outputs."""
        insides: list[list[int]] = [[] for _ in range(copies)]
        for layer in drawn_layers(items):  # Its nodes are ordered by copy.
            nodes_per_copy = len(layer.nodes) // copies
            for index, inside in enumerate(insides):
                inside.extend(layer.nodes[index * nodes_per_copy : (index + 1) * nodes_per_copy])
        outputs, sources = [], []
        for inside in insides:
            inside.sort()
            nodes = set(inside)
            outputs_of_copy = [
                i for i in inside if i in self._network.output_indices or not nodes.issuperset(self._readers[i])
            ]
            if len(outputs_of_copy) != 1:
                return None
            outputs += outputs_of_copy
            sources.append(outside_sources(self._network, inside))
        # Copies with different numbers of inputs cannot share a box.
        if len(set(map(len, sources))) > 1:
            return None
        # Only a merge can have several operands: a box with several inputs is the layer of one.
        call = PictureCall(tuple(outputs), title, arguments, tuple(map(tuple, insides)), note, shared)
        return call if len(sources[0]) <= 1 else PictureMerge(((),) * len(sources[0]), call)

    def _summary(self, items: PictureItems) -> str:
        """Return a short description of some items: ``c-BN-IF``."""
        words = []
        # One word per item: the content of a box is drawn elsewhere.
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
        return "-".join(words)

    def _layer_kind(self, layer: PictureLayer) -> Hashable:
        """Return the properties of a layer that calls of one block share: all except widths and strides."""
        node = self._network.nodes[layer.nodes[0]]
        letters = node.op.letters()
        width = getattr(node.op, letters[""]) if "" in letters else None
        varied = {letters.get(""), letters.get("s")}
        # An argument with the value of the width varies with it, e.g. the groups of a depthwise convolution.
        values = [(name, "width" if value == width else value) for name, value in node.op if name not in varied]
        return node.op.kind, tuple(values), node.feeds_back


def _outline(
    items: PictureItems,
    layer_kind: Callable[[PictureLayer], Hashable],
    repeat_kind: Callable[[PictureRepeat], Hashable],
) -> Hashable:
    def outline(item: PictureItem) -> Hashable:
        match item:
            case PictureLayer():
                return layer_kind(item)
            case PictureBlock(label, _, value):
                key: Hashable = (label, value)
            case PictureRepeat():
                key = repeat_kind(item)
            case _:
                key = type(item).__name__
        return key, *(tuple(map(outline, row)) for row in inner_rows(item))

    return tuple(map(outline, items))


def copies_text(fold: PictureRepeat) -> str:
    """Return the text for the copies in a fold."""
    count = fold.last - fold.first + 1
    return f"copy {fold.first}" if count == 1 else f"×{count}"


def _letters(number: int) -> str:
    """Return A to Z, then AA and so on."""
    return (_letters(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)  # noqa: PLR2004


class _Folder:
    """Builder of items with equal copies of repeats folded."""

    def __init__(self, network: Network, *, expand: Unfolded) -> None:
        self._network, self._expand = network, expand
        self._nodes, self._output_nodes = network.nodes, network.output_indices
        self._readers = network.graph.consumers
        self._outputs: dict[int, set[str]] = {}
        for name, index in network.outputs:
            self._outputs.setdefault(index, set()).add(name)

    def sequence(self, items: structure.Items, prefix: str) -> PictureItems:
        """Return the drawn items of a sequence.

        ``prefix``: key of the enclosing item, with a dot.
        """
        return tuple(drawn for item in items for drawn in self._draw(item, prefix))

    def _draw(self, item: structure.Item, prefix: str) -> PictureItems:
        match item:
            case structure.LayerItem(node):
                return (PictureLayer((node,)),)
            case structure.MergeItem(node, operands, steps):
                prefixes = (f"{prefix}{step.key}." if step else prefix for step in steps)
                return (PictureMerge(tuple(map(self.sequence, operands, prefixes)), PictureLayer((node,))),)
            case structure.BlockItem(step, items):
                # The keys inside a part begin with its key.
                inside = self.sequence(items, f"{'' if step.kind == 'part' else prefix}{step.key}.")
                output_layer = self._inner_output_layer(item, inside)
                shared = all(self._nodes[index].weights is not None for index in structure.nodes((item,)))
                return (PictureBlock(step.label, inside, gives=output_layer, arguments=step.arguments, shared=shared),)
            case structure.ValueItem(step, items):
                inside = self.sequence(items, f"{prefix}{step.key}.")
                if step.kind != "value":
                    return inside
                last_nodes = exit_layer(inside[-1]).nodes if inside else ()
                is_output = any(step.label in self._outputs.get(index, ()) for index in last_nodes)
                label = f"{step.label} · output" if is_output else step.label
                # The end of the picture shows the readout of the last output only.
                is_end = self._network.output in last_nodes
                note = readout_text(self._network) if is_output and not is_end else ""
                return (PictureBlock(label, inside, value=True, note=note),)
            case structure.LoopItem(node, delay, body, feedback, steps):
                loop_prefixes = [f"{prefix}{step.key}." if step else prefix for step in steps]
                feedback_items = PictureLayer((delay,)), *self.sequence(feedback, loop_prefixes[-1])
                return (PictureLoop(PictureLayer((node,)), self.sequence(body, loop_prefixes[0]), feedback_items),)
            case structure.ReadItem() | structure.DelayedItem():
                return ()  # Only the wiring has these items; the nesting does not.
            case structure.RepeatItem(steps, copies):
                sequences = [
                    (step, self.sequence(copy, f"{prefix}{step.key}."))
                    for step, copy in zip(steps, copies, strict=True)
                ]
                return self._repeat(sequences, f"{prefix}{steps[0].key}".rpartition(".")[0])

    def _inner_output_layer(self, block: structure.BlockItem, items: PictureItems) -> PictureLayer | None:
        """Return the only output layer of a block, unless it is the last layer."""
        inside = {*structure.nodes((block,))}
        outputs = {i for i in inside if i in self._output_nodes or not inside.issuperset(self._readers[i])}
        if len(outputs) != 1 or outputs.issubset(exit_layer(items[-1]).nodes):
            return None
        return next(layer for layer in drawn_layers(items) if outputs.issubset(layer.nodes))

    def _repeat(self, copies: list[tuple[PathStep, PictureItems]], key: str) -> PictureItems:
        """Return the copies of a repeat, with equal neighbours folded."""
        expand = self._expand if isinstance(self._expand, bool) else key in self._expand
        if expand or len(copies) <= 1:
            return tuple(item for _, items in copies for item in items)
        # Only neighbours are folded, so that the copies stay in order.
        runs = [list(run) for _, run in groupby(copies, lambda copy: self._structure(copy[1]))]
        folded: list[PictureItem] = []
        for run, following in zip_longest(runs, runs[1:]):
            (first_step, _), (last_step, _) = run[0], run[-1]
            outputs = tuple(exit_layer(items[-1]).nodes[-1] for _, items in run)
            merged = _merged([items for _, items in run])
            # The first copy often has a projection: a note on the frame names the difference.
            compared = (run[0][1], following[0][1]) if following else None
            folded.append(
                PictureRepeat(first_step.copy, last_step.copy, first_step.copies, outputs, merged, key, compared)
            )
        return tuple(folded)

    def _structure(self, items: PictureItems) -> Hashable:
        """Return the structure of a copy, equal for copies to fold."""

        def layer_kind(layer: PictureLayer) -> Hashable:
            index = layer.nodes[0]
            node = self._nodes[index]
            # Relative indices, which are the same in all copies.
            return node.op, node.feeds_back, tuple(index - source for source in node.sources)

        return _outline(items, layer_kind, lambda fold: (fold.first, fold.last, fold.copies))


def _merged(sequences: Iterable[PictureItems]) -> PictureItems:
    """Merge sequences of equal structure. Each layer represents the nodes of all sequences."""
    return tuple(_merge(items) for items in zip(*sequences, strict=True))


def _merge(items: Sequence[PictureItem]) -> PictureItem:
    if isinstance(items[0], PictureLayer):
        return _merge_layers(item for item in items if isinstance(item, PictureLayer))
    merged = _with_rows(items[0], map(_merged, zip(*map(inner_rows, items), strict=True)))
    if isinstance(merged, PictureBlock):
        output_layers = [item.gives for item in items if isinstance(item, PictureBlock) and item.gives is not None]
        return replace(merged, gives=_merge_layers(output_layers) if output_layers else None)
    return merged


def _merge_layers(layers: Iterable[PictureLayer]) -> PictureLayer:
    return PictureLayer(tuple(index for layer in layers for index in layer.nodes))
