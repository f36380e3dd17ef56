"""A network as items that the language can write: layers, merges, block calls, repeats and named values.

TextItems are equal if their text is equal, so that copies of a sequence are equal wherever they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
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
from sewdsl.ir.wiring import UnstructuredError
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.input import Input
from sewdsl.ops.merges import Loop

MADE_UP_BLOCK = re.compile("Block[A-Z]{1,2}")
"""What blocks without a name are called, without white space."""
IDENTITY = "id"
"""What an empty operand is written as."""


@dataclass(frozen=True)
class LayerText:
    """A layer or an activation.

    Attributes:
        text: As the language writes it: ``c32k3s1``, ``LIF(tau=3.0)``.
        op: What it is; inside a repeat, in the first copy.
        node: Index of the node that it represents; inside a repeat, in the first copy.
    """

    text: str
    op: Op = field(compare=False, repr=False)
    node: int = field(compare=False, repr=False)


@dataclass(frozen=True)
class MergeText:
    """``ADD[ branch | shortcut ]``, ``ATTN(heads=8)[ q | k | v ]``, ``LOOP[ body | feedback ]``.

    Attributes:
        name: What precedes the operands: ``ADD``, ``ATTN(heads=8)``, or ``g`` for the join of the header.
        operands: Each a sequence; empty: the identity.
        node: Index of the node that it represents; inside a repeat, in the first copy.
        fitting: Whether the last operand is the identity where that fits: ``id or …``; only in definitions.
        delay: Of a loop, whose node is its sum, index of the delay that its feedback begins with.
    """

    name: str
    operands: tuple[TextItems, ...]
    op: MergeOp = field(compare=False, repr=False)
    node: int = field(compare=False, repr=False)
    fitting: bool = False
    delay: int | None = field(default=None, compare=False, repr=False)

    @property
    def is_join(self) -> bool:
        """Whether it has a branch and a shortcut."""
        return isinstance(self.op, JoinOp) and len(self.operands) == len(JOIN_OPERANDS)

    @property
    def names(self) -> tuple[str, ...]:
        """What the operands are called."""
        return self.op.names(len(self.operands))


@dataclass(frozen=True)
class BlockText:
    """A call of a named block: ``SEW Block (c32)``.

    Attributes:
        arguments: ``c128s2, g=IAND``; empty: there are none.
        items: What it represents; inside a repeat, in the first copy.
    """

    title: str
    arguments: str
    items: TextItems = field(compare=False, repr=False)


@dataclass(frozen=True)
class RepeatText:
    """``{ … }*n``.

    Attributes:
        items: The sequence that is repeated; its nodes are those of the first copy.
        count: How often, at least twice.
        copies: Each copy with its own nodes. A call may represent more in one copy than in the next: where its input
            has the width that it gives, its shortcut is the identity.
    """

    items: TextItems
    count: int
    copies: tuple[TextItems, ...] = field(compare=False, repr=False)


@dataclass(frozen=True)
class ReadText:
    """A named value, at the beginning of a sequence: ``low``.

    Attributes:
        node: Index of the node that gives it; inside a repeat, in the first copy.
    """

    name: str
    node: int = field(compare=False, repr=False)


@dataclass(frozen=True)
class LetText:
    """``let low = …``: only at the front of what a whole network is made of."""

    name: str
    items: TextItems


@dataclass(frozen=True)
class Definition:
    """``block NAME(c, s=1) = …``.

    Attributes:
        parameters: ``c, s=1``; empty: there are none.
        items: What it represents, with ``$(c)`` in the texts of layers.
    """

    title: str
    parameters: str
    items: TextItems


TextItem = LayerText | MergeText | BlockText | RepeatText | ReadText | LetText
TextItems = tuple[TextItem, ...]


def items_text(items: TextItems) -> str:
    """A sequence as the language writes it, in one line; ``id`` where nothing is in it."""
    return "-".join(map(item_text, items)) or IDENTITY


def item_text(item: TextItem) -> str:
    """An item as the language writes it."""
    match item:
        case LayerText():
            return item.text
        case MergeText(name):
            return f"{name}[{' | '.join(prefix + items_text(operand) for prefix, operand in prefixed_operands(item))}]"
        case BlockText(title, arguments):
            blank = " " if " " in title else ""
            return f"{title}{blank}({arguments})" if arguments else title
        case RepeatText(inner, count):
            return f"{{{items_text(inner)}}}*{count}"
        case ReadText(name):
            return name
        case LetText(name, inner):
            return f"{let_head(item)}{items_text(inner)}"


def let_head(let: LetText) -> str:
    """What precedes the items of a named value: ``let low = ``."""
    return f"let {let.name} = "


def outputs_text(network: Network) -> str:
    """What is in place of the body of a network with several outputs: ``outputs low high``."""
    return " ".join(["outputs", *(name for name, _ in network.outputs)])


def split_lets(items: TextItems) -> tuple[tuple[LetText, ...], TextItems]:
    """The named values of a whole network, and its body."""
    lets = tuple(item for item in items if isinstance(item, LetText))
    return lets, items[len(lets) :]


def definition_head(definition: Definition) -> str:
    """What precedes the items of a block: ``block SEW Block(c, s=1) = ``."""
    parameters = f"({definition.parameters})" if definition.parameters else ""
    return f"block {definition.title}{parameters} = "


def prefixed_operands(merge: MergeText) -> list[tuple[str, TextItems]]:
    """The operands, each with what precedes it: ``id or`` where it is taken only if the identity does not fit."""
    *others, last = merge.operands
    return [*(("", operand) for operand in others), (f"{IDENTITY} or " if merge.fitting else "", last)]


def child_sequences(item: TextItem) -> tuple[TextItems, ...]:
    """The sequences that an item is made of: none for a layer, the operands of a merge."""
    match item:
        case LayerText() | ReadText():
            return ()
        case MergeText(_, operands):
            return operands
        case BlockText() | RepeatText() | LetText():
            return (item.items,)


def with_sequences(item: TextItem, change: Callable[[TextItems], TextItems]) -> TextItem:
    """A merge of changed operands, or a named value of a changed sequence; anything else as it is."""
    match item:
        case MergeText():
            return replace(item, operands=tuple(map(change, item.operands)))
        case LetText():
            return replace(item, items=change(item.items))
        case _:
            return item


def walk_items(items: TextItems) -> Iterator[TextItem]:
    """All items, each before what is inside it."""
    for item in items:
        yield item
        for inner in child_sequences(item):
            yield from walk_items(inner)


def first_node(item: TextItem) -> int:
    """The node of an item that is written first; of a loop its sum, which what is before it flows into."""
    if isinstance(item, LayerText | ReadText) or (isinstance(item, MergeText) and item.delay is not None):
        return item.node
    inside = next((inner[0] for inner in child_sequences(item) if inner), None)
    if inside is not None:
        return first_node(inside)
    assert isinstance(item, MergeText)  # noqa: S101 -- calls and repeats are never empty
    return item.node


def item_nodes(items: TextItems) -> Iterator[int]:
    """The nodes of a sequence without repeats, in the order in which the compiler makes them."""
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
    """Raised of a network that no text of the language compiles to; names the node, where one is to blame."""

    def __init__(self, node: Node | None, reason: str) -> None:
        super().__init__(f"{node.name} ({node.op.kind}): {reason}" if node is not None else reason)


def network_items(network: Network, words: Callable[[int], str] = lambda _: "") -> TextItems:
    """What is in the body of a network, after its named values.

    Args:
        network: Its nodes; paths are not looked at.
        words: The text of the node at an index: ``c32k3s1``, or the name of a join; none where only the order counts.

    Raises:
        UnwritableNetwork: no text gives these nodes with these edges.
    """
    nodes = network.nodes
    if not nodes or not isinstance(nodes[0].op, Input):
        raise UnwritableNetwork(nodes[0] if nodes else None, "a network begins with its input")
    for node in nodes[1:]:
        writable = len(node.sources) == 1 and isinstance(node.op, LayerOp | Activation)
        if not writable and not (isinstance(node.op, MergeOp) and len(node.inputs) > 1):
            raise UnwritableNetwork(node, "only layers, activations and merges follow the input")
    try:
        found = network.wiring
    except UnstructuredError as error:
        raise UnwritableNetwork(nodes[error.node] if error.node is not None else None, error.why) from None
    names = _value_names(network, [index for index, _ in found.values])

    def written(items: Items) -> TextItems:
        return tuple(text for item in items for text in texts(item))

    def texts(item: Item) -> Iterator[TextItem]:
        match item:
            case LayerItem(index):
                yield LayerText(words(index), nodes[index].op, index)
            case MergeItem(index, operands):
                op = nodes[index].op
                assert isinstance(op, MergeOp)  # noqa: S101 -- as was seen above
                yield MergeText(words(index), tuple(map(written, operands)), op, index)
            case LoopItem(index, delay, body, feedback):
                yield MergeText(Loop.kind, (written(body), written(feedback)), Loop(), index, delay=delay)
            case ReadItem(index):
                yield ReadText(names[index], index)
            case DelayedItem(index, source):
                yield ReadText(names[source], source)
                yield LayerText(words(index), nodes[index].op, index)
            case _:
                raise AssertionError(f"edges give layers, merges, loops and named values, not {item}")

    lets = (LetText(names[index], written(items)) for index, items in found.values)
    others = (LetText(name, (ReadText(names[i], i),)) for name, i in network.outputs if names[i] != name)
    return *lets, *others, *written(found.body)


def _value_names(network: Network, indices: Sequence[int]) -> dict[int, str]:
    """What to call the values of some nodes: as the paths say, if they can be called so, or made up."""
    known = Vocabulary(library=shipped_blocks())
    names: dict[int, str] = {}
    for name, index in network.outputs:
        names.setdefault(index, name)
    blocks = {"".join(step.label.split()) for node in network for step in node.path if step.kind == "block"}
    taken = {name for name, _ in network.outputs}
    for index in indices:
        if index in names:
            continue
        path = network.nodes[index].path[:1]
        following = network.nodes[index + 1].path[:1] if index + 1 < len(network) else ()
        name = path[0].label if path and path != following and path[0].kind == "value" else ""
        if (
            is_free_name(name, known)
            and name not in {*blocks, *names.values(), *taken}
            and not MADE_UP_BLOCK.fullmatch(name)
        ):
            names[index] = name
    made_up = (name for number in count(1) if (name := f"value{number}") not in {*names.values(), *taken})
    return {index: names[index] if index in names else next(made_up) for index in indices}
