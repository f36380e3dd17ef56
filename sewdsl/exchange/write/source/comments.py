"""Comments of exported files: layers as the spec writes them, with their line."""

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
"""Maximum length of notation in a comment, in characters."""
MAX_DOCSTRING_LINES = 30
"""Maximum number of lines of notation in a docstring."""
COLUMNS = 80


class Notation:
    """Notation of a network's layers in its spec."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._source = network.nodes[0].span.source

    def of(self, *items: SourceItem) -> str:
        """Return the comment on consecutive items, e.g. ``line 11: c32k3s1-BN-PLIF``. Empty if the spec has no text."""
        texts = [self._item(item) for item in items]
        if not all(texts):
            return ""
        text, span = "-".join(texts), self._span(items[0])
        if len(text) > MAX_COMMENT_LENGTH:
            text = f"{text[: MAX_COMMENT_LENGTH - 3]}..."
        # A spec of one line needs no line number.
        if span is None or "\n" not in span.source.text.strip():
            return text
        file = "" if span.source == self._source else f"{one_line_prose(span.source.name)}, "
        return f"{file}line {span.line}: {text}"

    def body(self) -> list[str]:
        """Return the body of the network as lines of a docstring."""
        lines = [one_line_prose(line) for line in dedent(self._network.nodes[0].span.text).splitlines()]
        wrapped = [part for line in lines for part in wrap(line, COLUMNS)]
        return wrapped if len(wrapped) <= MAX_DOCSTRING_LINES else [*wrapped[:MAX_DOCSTRING_LINES], "..."]

    @property
    def file(self) -> str:
        """Name of the spec file. Empty for a spec without a file."""
        name = self._source.name
        return "" if name.startswith("<") else one_line_prose(name)

    def _item(self, item: SourceItem) -> str:
        """Return the notation of an item, or an empty text."""
        match item:
            case Leaf(index=index):
                return self._layer_text(index)
            case SourceSection(kind="repeat", items=copies):
                first = copies[0]
                inner = self._sequence(first) if isinstance(first, SourceSection) else ""
                return f"{{{inner}}}*{len(copies)}" if inner else ""
            case SourceSection(kind="block"):
                call_text = self._network.nodes[_first(item)].span.text
                # The call as written if its name matches, else the title with all arguments.
                if _word(call_text) == _word(item.title):
                    return one_line_prose(call_text)
                return one_line_prose(item.title) + (f" ({one_line_prose(item.arguments)})" if item.arguments else "")
            case SourceSection():
                return self._sequence(item)

    def _sequence(self, section: SourceSection) -> str:
        """Return a sequence with its merges, or an empty text in loops, or if unnamed values are read."""
        looped = not self._network.graph.looped.isdisjoint(section.merges)
        # Compact notation has no text for loops and for several inputs.
        if section.others or section.loops or section.delays or looped:
            return ""
        items = {item.key: item for item in section.items}
        texts = []
        for step in section.flow:
            if not items.keys() >= {key for key in step.keys if key is not None}:
                return ""  # A layer of an inner section.
            operands = [
                _with_value_name("id" if key is None else self._item(items[key]), reads)
                for key, reads in zip(step.keys, step.reads, strict=True)
            ]
            if step.merge is not None:
                texts.append(f"{kind_text(self._network.nodes[step.merge].op)}[{' | '.join(operands)}]")
            else:
                texts += operands
        return "-".join(texts) if all(texts) else ""

    def _layer_text(self, index: int) -> str:
        """Return the text of a layer, or an empty text in a library block."""
        # The nodes of a library block have the span of its call.
        node = self._network.nodes[index]
        blocks = {_word(step.label) for step in node.path if step.kind == "block"}
        return "" if _word(node.span.text) in blocks else one_line_prose(node.span.text)

    def formula(self, block: SourceSection) -> list[str]:
        """Return the library definition of a block, as lines. Blocks of the user have none."""
        name = _word(block.title)
        if _word(self._network.nodes[_first(block)].span.text) != name or name not in shipped_blocks():
            return []
        text = one_line_prose(shipped_blocks()[name].expression.span.text).replace("[ ", "[").replace(" ]", "]")
        return wrap(text, COLUMNS)

    def _span(self, item: SourceItem) -> Span | None:
        """Return the span of an item. A block of the user has the span of its first inner item."""
        if isinstance(item, Leaf):
            return self._network.nodes[item.index].span
        if not item.items or (item.kind == "block" and self._layer_text(_first(item))):
            return None
        return self._span(item.items[0])


def _with_value_name(text: str, reads: Sequence[str]) -> str:
    """Prefix a text with the name of the value that the text reads, if the value has a name."""
    name = reads[0]
    if name in {INPUT, ONWARD} or not text:
        return text
    return name if text == "id" else f"{name}-{text}"


def _first(item: SourceItem) -> int:
    """Return the index of the first layer, or of the merge of a section without layers."""
    while isinstance(item, SourceSection):
        if not item.items:
            return item.output
        item = item.items[0]
    return item.index


def _word(text: str) -> str:
    """Return the name in a call, without whitespace."""
    return "".join(text.partition("(")[0].split())
