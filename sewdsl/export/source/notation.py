"""What comments say of layers: how the spec writes them, and in which line."""

from __future__ import annotations

from textwrap import dedent, wrap

from sewdsl.export.source.names import prose
from sewdsl.export.source.tree import Item, Leaf, Meet, Section
from sewdsl.ir.network import Network
from sewdsl.source import Span

LONGEST = 60
"""Characters of notation in a comment."""
MOST = 30
"""Lines of notation in a docstring."""
COLUMNS = 80


class Notation:
    """The text of a network's layers."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._source = network.nodes[0].span.source

    def of(self, *items: Item) -> str:
        """What a comment says of items in a row: ``line 11: c32k3s1-BN-PLIF``; nothing where the spec says nothing."""
        texts = [self._item(item) for item in items]
        if not all(texts):
            return ""
        text = "-".join(texts)
        return self._line(items[0]) + (text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}...")

    def body(self) -> list[str]:
        """The whole expression, as lines of a docstring."""
        lines = [prose(line) for line in dedent(self._network.nodes[0].span.text).splitlines()]
        found = [part for line in lines for part in wrap(line, COLUMNS)]
        return found if len(found) <= MOST else [*found[:MOST], "..."]

    @property
    def file(self) -> str:
        """The name of the file; empty where there is none."""
        name = self._source.name
        return "" if name.startswith("<") else prose(name)

    def _item(self, item: Item) -> str:
        match item:
            case Leaf(index=index):
                return self._own(index)
            case Section(kind="repeat", items=copies):
                first = copies[0]
                inner = self._sequence(first) if isinstance(first, Section) else ""
                return f"{{{inner}}}*{len(copies)}" if inner else ""
            case Section(kind="block"):
                return prose(item.title) + (f" ({prose(item.arguments)})" if item.arguments else "")
            case Section():
                return self._sequence(item)

    def _sequence(self, section: Section) -> str:
        """A sequence with its joins."""
        items = {item.key: item for item in section.items}
        texts = []
        for step in section.flow:
            if isinstance(step, Meet):
                branch, shortcut = (
                    "id" if side is None else self._item(items[side]) for side in (step.branch, step.shortcut)
                )
                texts.append(f"{self._network.nodes[step.join].op.kind}[{branch} | {shortcut}]")
            else:
                texts.append(self._item(items[step.key]))
        return "-".join(texts) if all(texts) else ""

    def _own(self, index: int) -> str:
        """The text of a layer itself; inside a block of the library, whose place is that of its call, there is none."""
        node = self._network.nodes[index]
        called = "".join(node.span.text.partition("(")[0].split())
        blocks = {"".join(step.label.split()) for step in node.path if step.kind == "block"}
        return "" if called in blocks else prose(node.span.text)

    def _line(self, item: Item) -> str:
        span = self._span(item)
        if span is None or "\n" not in span.source.text.strip():
            return ""
        file = "" if span.source == self._source else f"{prose(span.source.name)}, "
        return f"{file}line {span.line}: "

    def _span(self, item: Item) -> Span | None:
        """Where it is written; for a block of the user's, only its inside is known."""
        while isinstance(item, Section):
            if not item.items or (item.kind == "block" and self._within(item)):
                return None
            item = item.items[0]
        return self._network.nodes[item.index].span

    def _within(self, block: Section) -> bool:
        """Whether the places of a block's layers are inside its definition."""
        item: Item = block
        while isinstance(item, Section):
            item = item.items[0]
        return bool(self._own(item.index))
