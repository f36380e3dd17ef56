"""A string in the dialect of He et al. to a syntax tree of sewdsl; every node keeps the span of its word."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.dialects.he import conventions
from sewdsl.dialects.he.conventions import Assumptions, Conventions
from sewdsl.dialects.he.words import HeLayer, InputShape, Item, NumberSlot, Resolver, iterate_layers
from sewdsl.dialects.he.write_items import HeItemWriter
from sewdsl.ir.network import Network
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import DEFAULT_LIMITS, Limits
from sewdsl.reporter import Reported, Reporter
from sewdsl.source import Source, Span
from sewdsl.syntax import tree
from sewdsl.syntax.parser import parse_dialect
from sewdsl.syntax.scanner import Language
from sewdsl.syntax.tree import Body, Call, Document, Name, Sequence, Setting, Size, Value, Word
from sewdsl.syntax.tree_builder import Children, TreeBuilder


class HeHeader:
    """The header of one text."""

    def __init__(self, assumed: Assumptions) -> None:
        self._assumed, self._reporter = assumed, assumed.reporter
        self._input: tuple[tuple[int, ...], Span] | None = None

    def without_start(self, items: tuple[Item, ...]) -> tuple[Item, ...]:
        """The layers alone, once the size in front of them is read; a size elsewhere is reported."""
        rest = items[1:] if items and self._starts(items[0], more=len(items) > 1) else items
        for layer in iterate_layers(rest):
            if isinstance(layer, InputShape) or layer.role == "start":
                self._reporter.report(
                    "unexpected-token",
                    f"'{layer.span.text}' is the input, which is not here",
                    layer.span,
                    label="only in front of the first layer",
                    help="write several copies as (64C3)*2 or 2x64C3" if isinstance(layer, InputShape) else "remove it",
                )
        return rest

    def _starts(self, first: Item, *, more: bool) -> bool:
        """Reads what precedes the layers, if it is the input."""
        if isinstance(first, InputShape):
            self._read(first)
            return True
        if not isinstance(first, HeLayer):
            return False
        bare = more and first.span.text.isdigit()
        if bare:
            self._input = (int(first.span.text),), first.span
            self._assumed.say(conventions.FEATURES, first.span)
        return bare or first.role == "start"

    def _read(self, shape: InputShape) -> None:
        match shape.dims:
            case (h, w):
                found = (1, h, w)
            case (h, w, c) if h == w:
                found = (c, h, w)
            case (c, h, w) if h == w:
                found = (c, h, w)
            case _:
                self._reporter.report(
                    "invalid-argument",
                    f"it is not clear which number of {shape.span.text} is what",
                    shape.span,
                    label="channels, height or width",
                    help="leave it out, and say --input CxHxW",
                )
                return
        self._input = found, shape.span
        (c, height, width), read = found, "x".join(map(str, found))
        channels = "1 channel" if c == 1 else f"{c} channels"
        values = {"channels": channels, "height": height, "width": width, "read": read}
        self._assumed.say(conventions.SIZE, shape.span, **values)

    def settings(self, layers: tuple[Item, ...], *, unnamed: Span | None) -> tuple[Setting, ...]:
        """The lines of the header.

        Args:
            unnamed: The first layer whose neurons are not named.
        """
        found: list[Setting] = []
        if self._input is not None:
            dims, span = self._input
            found.append(_setting("input", Size(dims, span=span), span))
        encodes = next((layer.span for layer in iterate_layers(layers) if getattr(layer, "encodes", False)), None)
        if encodes is not None:
            found.append(_setting("encode", _word("direct", encodes), encodes))
        if unnamed is not None:
            self._assumed.say(conventions.NEURON_KIND, unnamed)
            found.append(_setting("neuron", _word("LIF", unnamed), unnamed))
        return tuple(found)


def _setting(key: str, value: Value, span: Span) -> Setting:
    return Setting(Word(key, span=span), (value,), span=span)


def _word(text: str, span: Span) -> Call:
    return Call(Name.of(text, span), span=span)


LANGUAGE = Language("he", ("compact",))


class HeBuilder(TreeBuilder):
    """Builds the nodes of one source: a Call for each word, its remark as an argument; a Repeat for what has a count.

    Groups without one are repeats of a single copy.
    """

    def _layer(self, children: Children, span: Span) -> tree.Call:
        word, *remark = children
        name = tree.Name((self.build(word),), (False,), span=self._span(word))
        return tree.Call(name, tuple(map(self.build, remark)), span=span)

    def _remark(self, children: Children, span: Span) -> tree.Argument:
        word = self.build(children[0])
        return tree.Argument(None, tree.Call(tree.Name((word,), (False,), span=word.span), span=word.span), span=span)

    def _times(self, children: Children, span: Span) -> tree.Repeat:
        times, item = children
        digits = times.rstrip(" \t\u00a0\u2009x*\u00d7\u204e\u2217")
        count = tree.Number(digits, span=self._span(times).part(0, len(digits)))
        return self._repeated(tree.Sequence((self.build(item),), span=self._span(item)), count, span)

    def _repeat(self, children: Children, span: Span) -> tree.Repeat:
        _, body, _, count = children
        return self._repeated(self.build(body), self.build(count), span)

    def _group(self, children: Children, span: Span) -> tree.Repeat:
        body, *count = children
        return self._repeated(self.build(body), self.build(count[0]) if count else tree.Number("1", span=span), span)

    def _repeated(self, body: tree.Sequence, count: tree.Number, span: Span) -> tree.Repeat:
        return tree.Repeat(body, self._check_count(count), span=span)


Inputs = tuple[tuple[Span, NumberSlot], ...]
"""The places of layers whose text says how many values they read, and these numbers."""


def check_inputs(network: Network, stated: Inputs) -> Iterator[Diagnostic]:
    """Complains of layers that read another number of values than their text says."""
    said = dict(stated)
    for node in network:
        number = said.get(node.span) if node.op.kind == "FC" else None
        if number is None:
            continue
        found = network.nodes[node.inputs[0]].output
        if found.elements != int(number.text):
            yield Diagnostic(
                "inputs-mismatch",
                Severity.ERROR,
                f"'{node.span.text}' reads {number.text} values, but {found.elements} arrive",
                number.span,
                label=f"its input is {found.size}",
                help="another padding may be intended, see --dialect 'he(padding=none)', or another --input, or "
                f"{number.text}FC-{node.span.text.rpartition('C')[2] or 'N'}",
                path=node.where,
            )


@dataclass(frozen=True)
class Translation:
    """What became of a text.

    Attributes:
        document: Its header and body in ours; without a body if it has errors.
        inputs: What it states of the inputs of its layers.
    """

    document: Document
    inputs: Inputs = ()


def translate(
    source: Source, asked: Conventions, limits: Limits = DEFAULT_LIMITS, *, neuron: bool = False
) -> Reported[Translation]:
    """The network of a text in the dialect, with what is wrong and what is assumed.

    Args:
        asked: What the option says in place of the text.
        neuron: Whether the neurons are said elsewhere.
    """
    translator = _Translator(asked, neuron, Reporter(limits))
    return translator.reporter.follow(lambda: translator.translate(source))


@dataclass(frozen=True)
class _Translator:
    asked: Conventions
    neuron: bool
    reporter: Reporter

    def translate(self, source: Source) -> Translation:
        """The network of a text, if nothing is wrong with it."""
        document = self.reporter.take(parse_dialect(source, LANGUAGE, HeBuilder, self.reporter.limits))
        errors = len(self.reporter.errors)
        for body in document.statements:
            if isinstance(body, Body):
                found = self._body(document, body)
                if len(self.reporter.errors) == errors:
                    return found
        return Translation(Document((), span=document.span))

    def _body(self, document: Document, body: Body) -> Translation:
        assumed = Assumptions(self.reporter)
        header = HeHeader(assumed)
        layers = header.without_start(Resolver(self.reporter).items(body.expression))
        writer = HeItemWriter(layers, self.asked, assumed)
        span = body.expression.span
        sequence = Sequence(writer.body(span), span=span)
        if not sequence.items:
            self.reporter.report(
                "empty-sequence",
                f"'{span.text}' has no layer",
                span,
                label="expected at least one layer",
                help="write what it holds, e.g. 128C3-AP2-10FC",
            )
            return Translation(Document((), span=document.span))
        settings = header.settings(layers, unnamed=None if self.neuron else writer.unnamed)
        ours = Document((*settings, Body(sequence, span=body.span)), span=document.span)
        return Translation(ours, tuple(writer.inputs))
