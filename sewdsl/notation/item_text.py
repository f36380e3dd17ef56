"""A network as items that the language can write: layers, joins, block calls and repeats.

Items are equal if their text is equal, so that copies of a sequence are equal wherever they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sewdsl.ir.network import Network, Node
from sewdsl.ir.op import Activation, Op
from sewdsl.ir.op import Join as JoinOp
from sewdsl.ir.op import Layer as LayerOp
from sewdsl.ops.input import Input

IDENTITY = "id"
"""What an empty side of a join is written as."""


@dataclass(frozen=True)
class LayerText:
    """A layer or an activation.

    Attributes:
        text: As the language writes it: ``c32k3s1``, ``LIF(tau=3.0)``.
        op: What it is; inside a repeat, in the first copy.
        node: Index of the node that it stands for; inside a repeat, in the first copy.
    """

    text: str
    op: Op = field(compare=False, repr=False)
    node: int = field(compare=False, repr=False)


@dataclass(frozen=True)
class JoinText:
    """``ADD[ branch | shortcut ]``.

    Attributes:
        name: ``ADD``, or ``g`` for the join of the header.
        branch: Operand A; empty: the identity.
        shortcut: Operand S; empty: the identity.
        op: What it is.
        node: Index of the node that it stands for; inside a repeat, in the first copy.
        fitting: Whether the shortcut is the identity where that fits: ``id or …``; only in definitions.
    """

    name: str
    branch: Items
    shortcut: Items
    op: JoinOp = field(compare=False, repr=False)
    node: int = field(compare=False, repr=False)
    fitting: bool = False


@dataclass(frozen=True)
class BlockText:
    """A call of a named block: ``SEW Block (c32)``.

    Attributes:
        title: ``SEW Block``.
        arguments: ``c128s2, g=IAND``; empty: there are none.
        items: What it stands for; inside a repeat, in the first copy.
    """

    title: str
    arguments: str
    items: Items = field(compare=False, repr=False)


@dataclass(frozen=True)
class RepeatText:
    """``{ … }*n``.

    Attributes:
        items: The sequence that is repeated; its nodes are those of the first copy.
        count: How often, at least twice.
        copies: Each copy with its own nodes. A call may stand for more in one copy than in the next: where its input
            has the width that it gives, its shortcut is the identity.
    """

    items: Items
    count: int
    copies: tuple[Items, ...] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Definition:
    """``block NAME(c, s=1) = …``.

    Attributes:
        title: The block's name.
        parameters: ``c, s=1``; empty: there are none.
        items: What it stands for, with ``$(c)`` in the texts of layers.
    """

    title: str
    parameters: str
    items: Items


Item = LayerText | JoinText | BlockText | RepeatText
Items = tuple[Item, ...]


def items_text(items: Items) -> str:
    """A sequence as the language writes it, in one line; ``id`` where nothing is in it."""
    return "-".join(map(item_text, items)) or IDENTITY


def item_text(item: Item) -> str:
    """An item as the language writes it."""
    match item:
        case LayerText():
            return item.text
        case JoinText(name, branch, shortcut):
            return f"{name}[{items_text(branch)} | {shortcut_prefix(item)}{items_text(shortcut)}]"
        case BlockText(title, arguments):
            blank = " " if " " in title else ""
            return f"{title}{blank}({arguments})" if arguments else title
        case RepeatText(inner, count):
            return f"{{{items_text(inner)}}}*{count}"


def definition_head(definition: Definition) -> str:
    """What stands in front of what a block stands for: ``block SEW Block(c, s=1) = ``."""
    parameters = f"({definition.parameters})" if definition.parameters else ""
    return f"block {definition.title}{parameters} = "


def shortcut_prefix(join: JoinText) -> str:
    """What stands in front of a shortcut that is taken only where the identity does not fit."""
    return f"{IDENTITY} or " if join.fitting else ""


def child_sequences(item: Item) -> tuple[Items, ...]:
    """The sequences that an item is made of: none for a layer, branch and shortcut for a join."""
    match item:
        case LayerText():
            return ()
        case JoinText(_, branch, shortcut):
            return branch, shortcut
        case BlockText() | RepeatText():
            return (item.items,)


def walk_items(items: Items) -> Iterator[Item]:
    """All items, each before what is inside it."""
    for item in items:
        yield item
        for inner in child_sequences(item):
            yield from walk_items(inner)


def first_node(item: Item) -> int:
    """The node of an item that is written first."""
    if isinstance(item, LayerText):
        return item.node
    inside = next((inner[0] for inner in child_sequences(item) if inner), None)
    if inside is not None:
        return first_node(inside)
    assert isinstance(item, JoinText)  # noqa: S101 -- calls and repeats are never empty
    return item.node


def item_nodes(items: Items) -> Iterator[int]:
    """The nodes of a sequence without repeats, in the order in which the compiler makes them."""
    for item in items:
        for inner in child_sequences(item):
            yield from item_nodes(inner)
        if isinstance(item, LayerText | JoinText):
            yield item.node


class UnwritableNetwork(ValueError):  # noqa: N818 -- not a failure of the program: a network that no text gives
    """Raised of a network that no text of the language compiles to; names the node, where one is to blame."""

    def __init__(self, node: Node | None, reason: str) -> None:
        super().__init__(f"{node.name} ({node.op.kind}): {reason}" if node is not None else reason)


MAX_JOIN_DEPTH = 100
"""Joins inside joins: beyond what --limit nesting lets anybody read with ease, and safe to recurse into."""


def network_items(network: Network, words: Callable[[int], str] = lambda _: "") -> Items:
    """What stands in the body of a network.

    A join's branch and shortcut begin at the last node that all ways to the join lead through. Walking up from a join's
    operands to there, every node is met by exactly one join, or by the output: otherwise no text gives this network.

    Args:
        network: Its nodes; paths are not looked at.
        words: The text of the node at an index: ``c32k3s1``, or the name of a join; none where only the order counts.

    Raises:
        UnwritableNetwork: no text gives these nodes with these edges.
    """
    return _Structure(network, words).body()


class _Structure:
    def __init__(self, network: Network, words: Callable[[int], str]) -> None:
        self._nodes, self._output, self._words = network.nodes, network.output, words
        self._items: list[Item] = []  # for each node but the input, the item that ends with it
        self._before: list[int] = []  # for each node, the place that its item begins at
        self._depths: list[int] = []  # for each node, how deep its item nests
        self._taken = bytearray(len(self._nodes))

    def body(self) -> Items:
        if not self._nodes or not isinstance(self._nodes[0].op, Input):
            raise UnwritableNetwork(self._nodes[0] if self._nodes else None, "a network begins with its input")
        for index, node in enumerate(self._nodes):
            self._add(index, node)
        items = self._way(self._output, 0)
        idle = self._taken.find(0, 1)
        if idle >= 0:
            raise UnwritableNetwork(self._nodes[idle], "what it gives does not reach the output")
        return items

    def _add(self, index: int, node: Node) -> None:
        """Makes the item of the next node."""
        before, depth = index, 0
        if isinstance(node.op, JoinOp):
            branch, shortcut = node.inputs
            before = self._fork(branch, shortcut)
            depth = 1 + max(self._deepest(branch, before), self._deepest(shortcut, before))
            if depth > MAX_JOIN_DEPTH:
                raise UnwritableNetwork(node, f"joins nest more than {MAX_JOIN_DEPTH} deep")
            sides = self._way(branch, before), self._way(shortcut, before)
            self._items.append(JoinText(self._words(index), *sides, node.op, index))
        elif index:
            if not isinstance(node.op, LayerOp | Activation) or len(node.inputs) != 1:
                raise UnwritableNetwork(node, "only layers, activations and joins stand behind the input")
            (before,) = node.inputs
            self._items.append(LayerText(self._words(index), node.op, index))
        self._before.append(before)
        self._depths.append(depth)

    def _fork(self, one: int, other: int) -> int:
        """The last node that all ways to two nodes lead through."""
        while one != other:
            if one > other:
                one = self._before[one]
            else:
                other = self._before[other]
        return one

    def _deepest(self, end: int, begin: int) -> int:
        found = 0
        while end != begin:
            found = max(found, self._depths[end])
            end = self._before[end]
        return found

    def _way(self, end: int, begin: int) -> Items:
        """The items from behind a place to another."""
        items: list[Item] = []
        while end != begin:
            if self._taken[end]:
                raise UnwritableNetwork(self._nodes[end], "the ways that part behind it do not meet in one join")
            self._taken[end] = True
            items.append(self._items[end - 1])
            end = self._before[end]
        return tuple(reversed(items))
