"""A network as the language writes it: layers, joins, calls of blocks and repeats, as a tree.

Items are equal if their text is, so that copies of a sequence are equal wherever they stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sewdsl.ir.op import Join as JoinOp
from sewdsl.ir.op import Op

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
