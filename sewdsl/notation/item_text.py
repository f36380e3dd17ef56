"""Items of the text of a network: layers, merges, block calls, repeats and named values.

Items are equal if their texts are equal, independent of their nodes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import field, replace
from itertools import count

from sewdsl.elaborate.definitions import shipped_blocks
from sewdsl.elaborate.named_values import is_free_name
from sewdsl.elaborate.vocabulary import Vocabulary
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import JOIN_OPERANDS, Activation, Op
from sewdsl.ir.op import Join as JoinOp
from sewdsl.ir.op import Layer as LayerOp
from sewdsl.ir.op import Merge as MergeOp
from sewdsl.ir.structure import DelayedItem, Item, Items, LayerItem, LoopItem, MergeItem, ReadItem
from sewdsl.ir.structure import nodes as wired_nodes
from sewdsl.ir.wiring import UnstructuredError
from sewdsl.light_dataclass import dataclass
from sewdsl.notation.part_calls import PartOperand, is_call
from sewdsl.ops.input import Input
from sewdsl.ops.merges import Loop

MADE_UP_BLOCK = re.compile("Block[A-Z]{1,2}")
"""Generated names of blocks, without white space."""
IDENTITY = "id"
"""Text of an empty operand."""


@dataclass(frozen=True)
class LayerText:
    """Layer or activation."""

    text: str
    """Text in the language, e.g. ``c32k3s1`` or ``LIF(tau=3.0)``."""
    op: Op = field(compare=False, repr=False)
    """Operation, of the first copy inside a repeat."""
    node: int = field(compare=False, repr=False)
    """Index of the node, or of its first copy inside a repeat."""
    closing: Op | None = field(default=None, repr=False)
    """Op that ends ``KIND[ body ]``, for a kind with a body."""


@dataclass(frozen=True)
class MergeText:
    """Merge: ``ADD[ branch | shortcut ]``, ``ATTN(heads=8)[ q | k | v ]``, ``LOOP[ body | feedback ]``."""

    name: str
    """Text before the operands: ``ADD``, ``ATTN(heads=8)``, or ``g`` for the join of the header."""
    operands: tuple[TextItems, ...]
    """Sequences. An empty sequence is the identity."""
    op: MergeOp = field(compare=False, repr=False)
    node: int = field(compare=False, repr=False)
    """Index of the node, or of its first copy inside a repeat. The node of a loop is its sum."""
    fitting: bool = False
    """Whether the last operand is ``id or …``, i.e. the identity if the shapes match. In definitions only."""
    delay: int | None = field(default=None, compare=False, repr=False)
    """Index of the first delay in the feedback of a loop, None for other merges."""

    @property
    def is_join(self) -> bool:
        """Whether the merge is a join of a branch and a shortcut."""
        return isinstance(self.op, JoinOp) and len(self.operands) == len(JOIN_OPERANDS)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the operands."""
        return self.op.names(len(self.operands))


@dataclass(frozen=True)
class BlockText:
    """Call of a named block: ``SEW Block (c32)``."""

    title: str
    arguments: str
    """Text of the arguments, e.g. ``c128s2, g=IAND`` (may be empty)."""
    items: TextItems = field(compare=False, repr=False)
    """Expanded call, or its first copy inside a repeat."""


@dataclass(frozen=True)
class RepeatText:
    """Repeat: ``{ … }*n``."""

    items: TextItems
    """Repeated sequence, with the nodes of the first copy."""
    count: int
    """Number of copies, at least 2."""
    copies: tuple[TextItems, ...] = field(compare=False, repr=False)
    """All copies with their own nodes. A block call can expand differently in each copy, e.g. with a projection in the
    first one only."""


@dataclass(frozen=True)
class ReadText:
    """Read of a named value, by its node or that of its first copy, at the start of a sequence: ``low``."""

    name: str
    node: int = field(compare=False, repr=False)


@dataclass(frozen=True)
class LetText:
    """Definition of a named value: ``let low = …``. Precedes the body of a network."""

    name: str
    items: TextItems


@dataclass(frozen=True)
class PartText(LetText):
    """Definition of a part: ``part Up[low | high] = …``. Precedes the named values of a network."""

    operands: tuple[str, ...] = ()
    """Names of several operands, or empty."""


@dataclass(frozen=True)
class Definition:
    """Definition of a block: ``block NAME(c, s=1) = …``."""

    title: str
    parameters: str
    """Text of the parameters, e.g. ``c, s=1`` (may be empty)."""
    items: TextItems
    """Body, with interpolations such as ``$(c)`` in the texts of layers."""


TextItem = LayerText | MergeText | BlockText | RepeatText | ReadText | LetText
TextItems = tuple[TextItem, ...]


@dataclass(frozen=True)
class BracketText:
    """Layers in the brackets of a kind with a body, ``Swap[ … ]``. Only printers have these items."""

    opening: LayerText
    items: PrintedItems


PrintedItems = tuple[TextItem | BracketText, ...]
MAX_BRACKETS = 8
"""Largest depth of brackets that are printed. Deeper ones are written as two layers."""


def bracketed(items: TextItems) -> PrintedItems:
    """Return a sequence with the layers between a layer and its closing op in brackets."""
    outer: list[tuple[LayerText, list[TextItem | BracketText]]] = []
    sequence: list[TextItem | BracketText] = []
    for item in items:
        if isinstance(item, LayerText):
            depth = next((i for i in reversed(range(len(outer))) if outer[i][0].closing == item.op), None)
            if depth is not None:
                opening, inside = outer[depth]
                # Layers that nothing closes are no brackets.
                for inner, rest in outer[depth + 1 :]:
                    inside += [inner, *rest]
                del outer[depth:]
                (outer[-1][1] if outer else sequence).append(BracketText(opening, tuple(inside)))
                continue
            if item.closing is not None and len(outer) < MAX_BRACKETS:
                outer.append((item, []))
                continue
        (outer[-1][1] if outer else sequence).append(item)
    for opening, rest in outer:
        sequence += [opening, *rest]
    return tuple(sequence)


def items_text(items: TextItems) -> str:
    """Return the text of a sequence in one line, or ``id`` if it is empty."""
    return printed_text(bracketed(items))


def printed_text(items: PrintedItems) -> str:
    """Return the text of a sequence with brackets in one line, or ``id`` if it is empty."""
    return "-".join(map(item_text, items)) or IDENTITY


def item_text(item: TextItem | BracketText) -> str:
    """Return the text of an item."""
    match item:
        case LayerText():
            return item.text
        case BracketText(opening, inner):
            return f"{opening.text}[{printed_text(inner)}]"
        case MergeText(name):
            return f"{name}[{' | '.join(prefix + items_text(operand) for prefix, operand in prefixed_operands(item))}]"
        case BlockText(title, arguments):
            blank = " " if " " in title else ""
            return f"{title}{blank}({arguments})" if arguments else title
        case RepeatText(inner, count):
            return f"{{{items_text(inner)}}}*{count}"
        case ReadText(name):
            return name
        case PartText() if (inside := split_lets(item.items))[0]:
            lines = [*map(item_text, inside[0]), f"give {items_text(inside[1])}"]
            return "\n    ".join([f"{let_head(item).removesuffix('= ')}{{", *lines]) + "\n}"
        case LetText(name, inner):
            return f"{let_head(item)}{items_text(inner)}"


def let_head(let: LetText) -> str:
    """Return the text before the items of a named value or a part: ``let low = ``, ``part Up[low | high] = ``."""
    if isinstance(let, PartText):
        operands = f"[{' | '.join(let.operands)}]" if let.operands else ""
        return f"part {let.name}{operands} = "
    return f"let {let.name} = "


def outputs_text(network: Network) -> str:
    """Return the line that replaces the body of a network with several outputs: ``outputs low high``."""
    return " ".join(["outputs", *(name for name, _ in network.outputs)])


def split_lets(items: TextItems) -> tuple[tuple[LetText, ...], TextItems]:
    """Split the items of a network into named values and body."""
    lets = tuple(item for item in items if isinstance(item, LetText))
    return lets, items[len(lets) :]


def definition_head(definition: Definition) -> str:
    """Return the text before the items of a block: ``block SEW Block(c, s=1) = ``."""
    parameters = f"({definition.parameters})" if definition.parameters else ""
    return f"block {definition.title}{parameters} = "


def prefixed_operands(merge: MergeText) -> list[tuple[str, TextItems]]:
    """Return the operands with their prefixes: ``id or`` for an alternative to the identity."""
    *others, last = merge.operands
    return [*(("", operand) for operand in others), (f"{IDENTITY} or " if merge.fitting else "", last)]


def child_sequences(item: TextItem) -> tuple[TextItems, ...]:
    """Return the sequences inside an item, e.g. the operands of a merge. Layers have none."""
    match item:
        case LayerText() | ReadText():
            return ()
        case MergeText(_, operands):
            return operands
        case BlockText() | RepeatText() | LetText():
            return (item.items,)


def with_sequences(item: TextItem, change: Callable[[TextItems], TextItems]) -> TextItem:
    """Return an item with changed sequences. Calls, repeats and layers are not changed."""
    match item:
        case MergeText():
            return replace(item, operands=tuple(map(change, item.operands)))
        case LetText():
            return replace(item, items=change(item.items))
        case _:
            return item


def walk_items(items: TextItems) -> Iterator[TextItem]:
    """Yield all items in preorder."""
    for item in items:
        yield item
        for inner in child_sequences(item):
            yield from walk_items(inner)


def first_node(item: TextItem) -> int:
    """Return the first node in the text of an item."""
    # The input of a loop flows into its sum.
    if isinstance(item, LayerText | ReadText) or (isinstance(item, MergeText) and item.delay is not None):
        return item.node
    inside = next((inner[0] for inner in child_sequences(item) if inner), None)
    if inside is not None:
        return first_node(inside)
    assert isinstance(item, MergeText)  # noqa: S101 -- calls and repeats are never empty
    return item.node


def item_nodes(items: TextItems) -> Iterator[int]:
    """Yield the nodes of a sequence without repeats, in the order of the compiler."""
    for item in items:
        if isinstance(item, MergeText) and item.delay is not None:
            body, feedback = item.operands
            yield item.delay
            yield from item_nodes(feedback)
            yield item.node
            yield from item_nodes(body)
            continue
        for inner in child_sequences(item):
            yield from item_nodes(inner)
        if isinstance(item, LayerText | MergeText):
            yield item.node


class UnwritableNetwork(ValueError):
    """No text of the language compiles to the network. The message names the node, if there is one."""

    def __init__(self, node: Node | None, reason: str) -> None:
        super().__init__(f"{node.name} ({node.op.kind}): {reason}" if node is not None else reason)


def network_items(
    network: Network, node_text: Callable[[int], str] = lambda _: "", taken: Collection[str] = ()
) -> TextItems:
    """Return the named values and the body of a network as items, from its edges alone.

    Args:
        network: Network whose paths are ignored, except for names of values.
        node_text: Returns the text of a node, e.g. ``c32k3s1`` or the name of a join. May be omitted if only the order
            of the items matters.
        taken: Names of parts, which values cannot have.

    Raises:
        UnwritableNetwork: If no text has these nodes and edges.
    """
    nodes = network.nodes
    named = {*range(1, network.first_layer), *(i for i, node in enumerate(nodes) if type(node.op) is PartOperand)}
    if not nodes or not isinstance(nodes[0].op, Input):
        raise UnwritableNetwork(nodes[0] if nodes else None, "a network must begin with its input")
    for node in network.layers:
        writable = len(node.sources) == 1 and isinstance(node.op, LayerOp | Activation)
        if not writable and not (isinstance(node.op, MergeOp) and len(node.inputs) > 1):
            raise UnwritableNetwork(node, "only layers, activations and merges can follow the input")
    try:
        wiring = network.wiring
        calls = {i for i, node in enumerate(nodes) if is_call(node.op)} - network.graph.looped
        # The order of the calls of a part is that of their batches in its norms.
        sequences = (*(items for _, items in wiring.values), wiring.body)
        if [i for items in sequences for i in wired_nodes(items) if i in calls] != sorted(calls):
            wiring = network.wiring_with(frozenset(calls))
    except UnstructuredError as error:
        raise UnwritableNetwork(nodes[error.node] if error.node is not None else None, error.why) from None
    names = _value_names(network, named, [index for index, _ in wiring.values], taken)

    def to_texts(items: Items) -> TextItems:
        return tuple(text for item in items for text in item_texts(item))

    def item_texts(item: Item) -> Iterator[TextItem]:
        match item:
            case LayerItem(index) if index in named:
                yield ReadText(nodes[index].name, index)
            case LayerItem(index):
                op = nodes[index].op
                yield LayerText(node_text(index), op, index, op.closing(*network.inputs(nodes[index])))
            case MergeItem(index, operands):
                merge = nodes[index].op
                assert isinstance(merge, MergeOp)  # noqa: S101 -- checked above
                yield MergeText(node_text(index), tuple(map(to_texts, operands)), merge, index)
            case LoopItem(index, delay, body, feedback):
                yield MergeText(Loop.kind, (to_texts(body), to_texts(feedback)), Loop(), index, delay=delay)
            case ReadItem(index):
                yield ReadText(names[index], index)
            case DelayedItem(index, source):
                yield ReadText(names[source], source)
                yield LayerText(node_text(index), nodes[index].op, index)
            case _:
                raise AssertionError(f"unexpected item in the wiring: {item}")

    values = (value for value in wiring.values if value[0] not in named)
    lets = (LetText(names[index], to_texts(items)) for index, items in values)
    # An output can be another name of a named value.
    others = (LetText(name, (ReadText(names[i], i),)) for name, i in network.outputs if names[i] != name)
    return *lets, *others, *to_texts(wiring.body)


def _value_names(
    network: Network, named: Collection[int], indices: Sequence[int], parts: Collection[str]
) -> dict[int, str]:
    """Return the names of values by node: of named nodes, from valid and free paths, or generated."""
    vocabulary = Vocabulary(library=shipped_blocks())
    names: dict[int, str] = {i: network.nodes[i].name for i in named}
    for name, index in network.outputs:
        names.setdefault(index, name)
    blocks = {"".join(step.label.split()) for node in network for step in node.path if step.kind == "block"}
    taken = {name for name, _ in network.outputs} | {*parts}
    for index in indices:
        if index in names:
            continue
        path = network.nodes[index].path[:1]
        following = network.nodes[index + 1].path[:1] if index + 1 < len(network) else ()
        # Only the last node of a value has its name: the path of the next node has another first step.
        name = path[0].label if path and path != following and path[0].kind == "value" else ""
        if (
            is_free_name(name, vocabulary)
            # The name must not be the name of a block, not even of one that the text may define.
            and name not in {*blocks, *names.values(), *taken}
            and not MADE_UP_BLOCK.fullmatch(name)
        ):
            names[index] = name
    generated = (name for index in count(1) if (name := f"value{index}") not in {*names.values(), *taken})
    return {index: names[index] if index in names else next(generated) for index in indices}
