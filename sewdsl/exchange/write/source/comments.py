"""What comments say of layers: how the spec writes them, and in which line."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import dedent, wrap

from sewdsl.elaborate.definitions import shipped_blocks
from sewdsl.exchange.write.source.expressions import one_line_prose
from sewdsl.exchange.write.source.value_flow import INPUT, ONWARD, Leaf, SourceItem, SourceSection
from sewdsl.ir.network import Network
from sewdsl.notation.kind_text import kind_text
from sewdsl.source import Span

MAX_COMMENT_LENGTH = 60
"""Characters of notation in a comment."""
MAX_DOCSTRING_LINES = 30
"""Lines of notation in a docstring."""
COLUMNS = 80


class Notation:
    """The text of a network's layers."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._source = network.nodes[0].span.source

    def of(self, *items: SourceItem) -> str:
        """Return the comment on items in a row: ``line 11: c32k3s1-BN-PLIF``; empty if the spec has no text of them."""
        texts = [self._item(item) for item in items]
        if not all(texts):
            return ""
        text, span = "-".join(texts), self._span(items[0])
        if len(text) > MAX_COMMENT_LENGTH:
            text = f"{text[: MAX_COMMENT_LENGTH - 3]}..."
        if span is None or "\n" not in span.source.text.strip():
            return text
        file = "" if span.source == self._source else f"{one_line_prose(span.source.name)}, "
        return f"{file}line {span.line}: {text}"

    def body(self) -> list[str]:
        """Return the whole expression, as lines of a docstring."""
        lines = [one_line_prose(line) for line in dedent(self._network.nodes[0].span.text).splitlines()]
        found = [part for line in lines for part in wrap(line, COLUMNS)]
        return found if len(found) <= MAX_DOCSTRING_LINES else [*found[:MAX_DOCSTRING_LINES], "..."]

    @property
    def file(self) -> str:
        """The name of the file; empty where there is none."""
        name = self._source.name
        return "" if name.startswith("<") else one_line_prose(name)

    def _item(self, item: SourceItem) -> str:
        match item:
            case Leaf(index=index):
                return self._own(index)
            case SourceSection(kind="repeat", items=copies):
                first = copies[0]
                inner = self._sequence(first) if isinstance(first, SourceSection) else ""
                return f"{{{inner}}}*{len(copies)}" if inner else ""
            case SourceSection(kind="block"):
                text = self._network.nodes[_first(item)].span.text
                if _word(text) == _word(item.title):  # the call as it is written, else with all arguments in force
                    return one_line_prose(text)
                return one_line_prose(item.title) + (f" ({one_line_prose(item.arguments)})" if item.arguments else "")
            case SourceSection():
                return self._sequence(item)

    def _sequence(self, section: SourceSection) -> str:
        """A sequence with its merges; nothing of one in a loop, or of one that reads several values without names."""
        looped = not self._network.graph.looped.isdisjoint(section.merges)
        if section.others or section.loops or section.delays or looped:
            return ""
        items = {item.key: item for item in section.items}
        texts = []
        for step in section.flow:
            operands = [
                _begun("id" if key is None else self._item(items[key]), reads)
                for key, reads in zip(step.keys, step.reads, strict=True)
            ]
            if step.merge is not None:
                texts.append(f"{kind_text(self._network.nodes[step.merge].op)}[{' | '.join(operands)}]")
            else:
                texts += operands
        return "-".join(texts) if all(texts) else ""

    def _own(self, index: int) -> str:
        """The text of a layer itself; inside a block of the library, whose place is that of its call, there is none."""
        node = self._network.nodes[index]
        blocks = {_word(step.label) for step in node.path if step.kind == "block"}
        return "" if _word(node.span.text) in blocks else one_line_prose(node.span.text)

    def formula(self, block: SourceSection) -> list[str]:
        """Return how the library defines a block; nothing for the user's own."""
        name = _word(block.title)
        if _word(self._network.nodes[_first(block)].span.text) != name or name not in shipped_blocks():
            return []
        text = one_line_prose(shipped_blocks()[name].expression.span.text).replace("[ ", "[").replace(" ]", "]")
        return wrap(text, COLUMNS)

    def _span(self, item: SourceItem) -> Span | None:
        """Return the span of an item; of a block of the user's, only its inside has one."""
        if isinstance(item, Leaf):
            return self._network.nodes[item.index].span
        if not item.items or (item.kind == "block" and self._own(_first(item))):
            return None
        return self._span(item.items[0])


def _begun(text: str, reads: Sequence[str]) -> str:
    """Return the text of what reads a value, after the name of that, if it has one."""
    name = reads[0]
    if name in {INPUT, ONWARD} or not text:
        return text
    return name if text == "id" else f"{name}-{text}"


def _first(item: SourceItem) -> int:
    """Return the first layer of all; the merge, in a section that is nothing else."""
    while isinstance(item, SourceSection):
        if not item.items:
            return item.output
        item = item.items[0]
    return item.index


def _word(text: str) -> str:
    """Return the name in a call, without white space."""
    return "".join(text.partition("(")[0].split())
