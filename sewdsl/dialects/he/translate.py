"""Translation of a string in the dialect to a sewdsl syntax tree with the spans of the original words."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic
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
    """Header settings of one string."""

    def __init__(self, assumed: Assumptions) -> None:
        self._assumed, self._reporter = assumed, assumed.reporter
        self._input: tuple[tuple[int, ...], Span] | None = None

    def without_start(self, items: tuple[Item, ...]) -> tuple[Item, ...]:
        """Return the layers without a leading input size, and report an input size elsewhere."""
        rest = items[1:] if items and self._starts(items[0], more=len(items) > 1) else items
        # A size elsewhere is probably a misspelt repeat.
        for layer in iterate_layers(rest):
            if isinstance(layer, InputShape) or layer.role == "start":
                self._reporter.report(
                    "unexpected-token",
                    f"misplaced input size '{layer.span.text}'",
                    layer.span,
                    label="expected before the first layer only",
                    help="write several copies as (64C3)*2 or 2x64C3" if isinstance(layer, InputShape) else "remove it",
                )
        return rest

    def _starts(self, first: Item, *, more: bool) -> bool:
        """Read the first item if it is the input, and return whether it is."""
        if isinstance(first, InputShape):
            self._read(first)
            return True
        if not isinstance(first, HeLayer):
            return False
        # A single number could also be a layer: it is the input only if layers follow.
        is_bare_number = more and first.span.text.isdigit()
        if is_bare_number:
            self._input = (int(first.span.text),), first.span
            self._assumed.report(conventions.FEATURES, first.span)
        return is_bare_number or first.role == "start"

    def _read(self, shape: InputShape) -> None:
        """Read the input size. Without an explicit order, equal lengths are height and width."""
        # Papers write sizes in several orders. The equal lengths are height and width.
        match shape.dims:
            case (h, w):
                dims = (1, h, w)
            case (h, w, c) if h == w:
                dims = (c, h, w)
            case (c, h, w) if h == w:
                dims = (c, h, w)
            case _:
                self._reporter.report(
                    "invalid-argument",
                    f"ambiguous input size {shape.span.text}: the order of channels, height and width is unclear",
                    shape.span,
                    label="channels, height or width",
                    help="remove it and pass --input CxHxW",
                )
                return
        self._input = dims, shape.span
        (c, height, width), size_text = dims, "x".join(map(str, dims))
        channels = "1 channel" if c == 1 else f"{c} channels"
        values = {"channels": channels, "height": height, "width": width, "read": size_text}
        self._assumed.report(conventions.SIZE, shape.span, **values)

    def settings(self, layers: tuple[Item, ...], *, unnamed: Span | None) -> tuple[Setting, ...]:
        """Return the header settings, given the first layer whose neurons have no kind."""
        settings: list[Setting] = []
        if self._input is not None:
            dims, span = self._input
            settings.append(_setting("input", Size(dims, span=span), span))
        # (Encoding) marks the layer that converts a static image to spikes.
        encodes = next((layer.span for layer in iterate_layers(layers) if getattr(layer, "encodes", False)), None)
        if encodes is not None:
            settings.append(_setting("encode", _word("direct", encodes), encodes))
        if unnamed is not None:
            self._assumed.report(conventions.NEURON_KIND, unnamed)
            settings.append(_setting("neuron", _word("LIF", unnamed), unnamed))
        return tuple(settings)


def _setting(key: str, value: Value, span: Span) -> Setting:
    return Setting(Word(key, span=span), (value,), span=span)


def _word(text: str, span: Span) -> Call:
    return Call(Name.of(text, span), span=span)


LANGUAGE = Language("he", ("compact",))


class HeBuilder(TreeBuilder):
    """Builder of the syntax tree of one source.

    A word becomes a Call with its remark as an argument. An item with a count becomes a Repeat. A group without a count
    is a Repeat of one copy.
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
"""Spans of layers that state their number of inputs, and these numbers."""


def check_inputs(network: Network, expected: Inputs) -> Iterator[Diagnostic]:
    """Report layers whose number of inputs differs from the stated number."""
    expected_by_span = dict(expected)
    for node in network:
        # The span identifies the layer in the text: copies of a repeat share it.
        slot = expected_by_span.get(node.span) if node.op.kind == "FC" else None
        if slot is None:
            continue
        signal = network.nodes[node.inputs[0]].output
        if signal.elements != int(slot.text):
            yield Diagnostic(
                "inputs-mismatch",
                f"'{node.span.text}' expects {slot.text} input values, got {signal.elements}",
                slot.span,
                label=f"input is {signal.size}",
                help="use another padding, e.g. --dialect 'he(padding=none)', or another --input; if "
                f"{slot.text} is the number of outputs, write {slot.text}FC-{node.span.text.rpartition('C')[2] or 'N'}",
                path=node.where,
            )


@dataclass(frozen=True)
class Translation:
    """Result of a translation."""

    document: Document
    """Header and body in sewdsl. No body if there are errors."""
    inputs: Inputs = ()
    """Stated numbers of inputs."""


def translate(
    source: Source, options: Conventions, limits: Limits = DEFAULT_LIMITS, *, neuron: bool = False
) -> Reported[Translation]:
    """Translate a string in the dialect, and report errors and assumptions.

    Args:
        options: Conventions set by the user.
        neuron: Whether the kind of neuron is set elsewhere.
    """
    translator = _Translator(options, neuron, Reporter(limits))
    return translator.reporter.follow(lambda: translator.translate(source))


@dataclass(frozen=True)
class _Translator:
    options: Conventions
    neuron: bool
    reporter: Reporter

    def translate(self, source: Source) -> Translation:
        """Translate a string, and return an empty document if it has errors."""
        document = self.reporter.take(parse_dialect(source, LANGUAGE, HeBuilder, self.reporter.limits))
        errors = len(self.reporter.errors)
        for body in document.statements:
            if isinstance(body, Body):
                translation = self._body(document, body)
                if len(self.reporter.errors) == errors:
                    return translation
        return Translation(Document((), span=document.span))

    def _body(self, document: Document, body: Body) -> Translation:
        assumed = Assumptions(self.reporter)
        header = HeHeader(assumed)
        layers = header.without_start(Resolver(self.reporter).items(body.expression))
        writer = HeItemWriter(layers, self.options, assumed)
        span = body.expression.span
        sequence = Sequence(writer.body(span), span=span)
        if not sequence.items:
            self.reporter.report(
                "empty-sequence",
                f"'{span.text}' has no layers",
                span,
                label="expected at least one layer",
                help="add layers, e.g. 128C3-AP2-10FC",
            )
            return Translation(Document((), span=document.span))
        # Without --neuron, SN is LIF.
        settings = header.settings(layers, unnamed=None if self.neuron else writer.unnamed)
        translated = Document((*settings, Body(sequence, span=body.span)), span=document.span)
        return Translation(translated, tuple(writer.inputs))
