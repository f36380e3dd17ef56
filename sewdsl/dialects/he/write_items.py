"""Conversion of the layers of a string to sewdsl items, with assumed norms, neurons, padding and output."""

from __future__ import annotations

from sewdsl.dialects.he import conventions
from sewdsl.dialects.he.conventions import Assumptions, Conventions
from sewdsl.dialects.he.words import SN, HeLayer, Item, NumberSlot, RepeatedWords, iterate_layers
from sewdsl.reporter import Reporter
from sewdsl.source import Span
from sewdsl.syntax.tree import Call, Name, Repeat, Sequence, Word
from sewdsl.syntax.tree import Item as TreeItem


class OutputLayer:
    """Output layer of one string.

    Attributes:
        last: Layer that is the output or votes. None if the string has none.
        missing: Whether an output layer is added, as ``classes`` is set.
    """

    def __init__(self, layers: tuple[Item, ...], options: Conventions, reporter: Reporter) -> None:
        self._options, self._reporter = options, reporter
        flattened = [layer for layer in iterate_layers(layers) if isinstance(layer, HeLayer)]
        self._voting = any(layer.role == "voting" for layer in flattened)
        weighted = [layer for layer in flattened if layer.role in {"conv", "linear"}]
        last = weighted[-1] if weighted and weighted[-1].role == "linear" else None
        repeated = [layer for item in layers if isinstance(item, RepeatedWords) for layer in iterate_layers(item.items)]
        if last is not None and not self._voting:  # If both are given, its width must equal the number of classes.
            width = last.numbers.get("n")
            if width is not None and options.classes is not None and int(width.text) != options.classes:
                last = None
        # A layer in a repeat occurs several times: it cannot be the output.
        if last in repeated:
            last = None
        self.last = last
        self.missing = last is None and options.classes is not None

    def fires(self, layer: HeLayer) -> bool:
        """Return whether a linear layer has neurons."""
        return layer != self.last or self._voting or self._options.output == "spikes"

    def width(self, layer: HeLayer) -> list[NumberSlot]:
        """Return the width of a linear layer, and report an error if it is unknown."""
        if "n" in layer.numbers:
            return [layer.numbers["n"]]
        if layer == self.last and not self._voting and self._options.classes is not None:
            return [NumberSlot("n", str(self._options.classes), layer.span, layer.span)]
        self._report_missing(layer, "its number of outputs")
        return []

    def votes(self, layer: HeLayer) -> list[NumberSlot]:
        """Return the number of neurons per class, and report an error if it is unknown or not an integer."""
        width = self.last.numbers.get("n") if self.last else None
        classes = self._options.classes
        if width is None or classes is None:
            self._report_missing(layer, "the number of classes to vote for")
            return []
        # Average pooling over the votes requires equally many neurons per class.
        voters, remainder = divmod(int(width.text), classes)
        if remainder or not voters:
            self._reporter.report(
                "voting-mismatch",
                f"{width.text} neurons cannot vote evenly for {classes} classes",
                width.span,
                label=f"not a multiple of {classes}",
                help=f"use {max(1, voters) * classes} neurons, or write {width.text}FC-{classes} if votes are weighted",
            )
            return []
        return [NumberSlot("k", str(voters), layer.span, layer.span)]

    def _report_missing(self, layer: HeLayer, quantity: str) -> None:
        self._reporter.report(
            "missing-argument",
            f"'{layer.span.text}' does not specify {quantity}",
            layer.span,
            label="missing number",
            help=f"write e.g. 10{layer.span.text}, or add --dialect 'he(classes=10)'"
            if layer.role == "linear"
            else "add --dialect 'he(classes=10)', and write Voting after a wider layer",
        )


ARGUMENT_ORDER = "nksp"
"""Order of arguments in compact notation. ``n`` is the number after the symbol."""


class HeItemWriter:
    """Writer of the layers of one string.

    Attributes:
        inputs: Spans of layers that state their number of inputs, with the number.
        unnamed: First layer whose neurons are ``SN``.
    """

    def __init__(self, layers: tuple[Item, ...], options: Conventions, assumed: Assumptions) -> None:
        roles = {layer.role for layer in iterate_layers(layers) if isinstance(layer, HeLayer)}
        self._fires, self._normed = "neuron" not in roles, "norm" in roles
        self._layers, self._options, self._assumed = layers, options, assumed
        self._output_layer = OutputLayer(layers, options, assumed.reporter)
        self._has_weights = False
        self._pending: HeLayer | None = None
        self.inputs: list[tuple[Span, NumberSlot]] = []
        self.unnamed: Span | None = None

    def body(self, span: Span) -> tuple[TreeItem, ...]:
        """Return all layers, and the output layer that the conventions add at a span."""
        written = self._sequence(self._layers)
        if self._output_layer.missing and written:
            written.append(_call(span, "FC", [NumberSlot("n", str(self._options.classes), span, span)]))
        elif self._output_layer.last is None and self._layers:
            self._assumed.report(conventions.NO_OUTPUT, self._layers[-1].span)
        return tuple(written)

    def _sequence(self, items: tuple[Item, ...]) -> list[TreeItem]:
        """Write items, and insert norms and neurons."""
        written: list[TreeItem] = []
        for index, item in enumerate(items):
            following = items[index + 1] if index + 1 < len(items) else None
            if isinstance(item, RepeatedWords):
                written += self._neurons()
                if inner := self._sequence(item.items):
                    written.append(Repeat(Sequence(tuple(inner), span=item.span), item.count, span=item.span))
            elif isinstance(item, HeLayer):
                # Norms, and pools if set by the conventions, come before the neurons of the preceding layer.
                precedes_neurons = item.role == "norm" or (item.role == "pool" and self._options.neurons == "pool")
                written += [
                    *([] if precedes_neurons else self._neurons()),
                    *self._layer(item),
                    *self._norm(item, following),
                ]
                self._defer_neurons(item)
                if item.role == "pool":
                    written += self._neurons()
        return [*written, *self._neurons()]

    # --- neurons -------------------------------------------------------------------------------------------

    def _defer_neurons(self, layer: HeLayer) -> None:
        """Remember a layer with neurons after it."""
        position = self._options.neurons or "conv"
        if layer.role in {"conv", "linear"}:
            self._has_weights = True
            fires = layer.role == "conv" or self._output_layer.fires(layer)
            self._pending = layer if self._fires and fires else None
            if layer == self._output_layer.last and self._fires and not fires and self._options.output is None:
                self._assumed.report(conventions.OUTPUT, layer.span)
            # A pool before the first weights has no neurons.
        elif layer.role == "pool" and position == "both" and self._fires and self._has_weights:
            self._pending = layer

    def _neurons(self) -> list[TreeItem]:
        """Return the neurons of the remembered layer, if any."""
        layer, self._pending = self._pending, None
        if layer is None:
            return []
        if self._options.neurons is None:
            self._assumed.report(conventions.NEURONS, layer.span)
        return [self._own_neuron(layer.span)]

    def _own_neuron(self, span: Span) -> Call:
        """Return neurons of unspecified kind."""
        self.unnamed = self.unnamed or span
        return _call(span, SN)

    # --- single layers -------------------------------------------------------------------------------------

    def _layer(self, layer: HeLayer) -> list[TreeItem]:
        numbers = [layer.numbers[letter] for letter in ARGUMENT_ORDER if letter in layer.numbers]
        if layer.remark:
            self._assumed.report(conventions.REMARK, layer.span, remark=layer.remark)
        match layer.role:
            case "conv":
                numbers += self._padding(layer)
            case "linear":
                numbers = self._output_layer.width(layer)
                self.inputs += [(layer.span, layer.numbers["inputs"])] if "inputs" in layer.numbers else []
            case "voting":
                numbers = self._output_layer.votes(layer)
            case "neuron" if layer.symbol == SN:
                return [self._own_neuron(layer.span)]
            case "loss" | "start":
                return []
        if not layer.symbol and self._options.pool is None:
            self._assumed.report(conventions.POOL, layer.span)
        return [_call(layer.span, layer.symbol or self._options.pool or "AP", numbers)]

    def _padding(self, layer: HeLayer) -> list[NumberSlot]:
        """Return the padding, if it differs from that of sewdsl."""
        if "p" in layer.numbers or int(layer.numbers["k"].text) == 1:
            return []
        if self._options.padding is None:
            self._assumed.report(conventions.PADDING, layer.span)
        return [NumberSlot("p", "0", layer.span, layer.span)] if self._options.padding == "none" else []

    def _norm(self, layer: HeLayer, following: Item | None) -> list[TreeItem]:
        """Return the norm that the conventions add to a convolution without one."""
        if layer.role != "conv" or (isinstance(following, HeLayer) and following.role == "norm"):
            return []
        norm = self._options.norm
        if norm is None and not self._normed:
            self._assumed.report(conventions.NORM, layer.span)
        return [_call(layer.span, norm)] if norm not in {None, "none"} else []


def _call(span: Span, symbol: str, numbers: list[NumberSlot] | None = None) -> Call:
    """Return a sewdsl layer whose letters and numbers have the spans of the original text."""
    parts = [Word(symbol, span=span)]
    for slot in numbers or ():
        letters = slot.token.part(0, slot.span.start - slot.token.start)
        parts += [Word(slot.letter, span=letters)] if slot.letter != "n" else []
        # sewdsl requires a digit before the decimal point.
        parts.append(Word("0" * slot.text.startswith(".") + slot.text, span=slot.span))
    return Call(Name(tuple(parts), (False,) * len(parts), span=span), span=span)
