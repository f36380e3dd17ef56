"""Layers of the dialect as items of ours, with what goes unwritten: norms, neurons, padding, and the output."""

from __future__ import annotations

from sewdsl.dialects.he import conventions
from sewdsl.dialects.he.conventions import Assumptions, Conventions
from sewdsl.dialects.he.words import SN, HeLayer, Item, NumberSlot, RepeatedWords, iterate_layers
from sewdsl.reporter import Reporter
from sewdsl.source import Span
from sewdsl.syntax.tree import Call, Name, Repeat, Sequence, Word
from sewdsl.syntax.tree import Item as Ours


class OutputLayer:
    """The end of one text.

    Attributes:
        last: The layer that is the output, or that votes; None where the text has none.
        missing: Whether the option adds an output.
    """

    def __init__(self, layers: tuple[Item, ...], asked: Conventions, reporter: Reporter) -> None:
        self._asked, self._reporter = asked, reporter
        flattened = [layer for layer in iterate_layers(layers) if isinstance(layer, HeLayer)]
        self._voting = any(layer.role == "voting" for layer in flattened)
        weighty = [layer for layer in flattened if layer.role in {"conv", "linear"}]
        last = weighty[-1] if weighty and weighty[-1].role == "linear" else None
        repeated = [layer for item in layers if isinstance(item, RepeatedWords) for layer in iterate_layers(item.items)]
        if last is not None and not self._voting:  # it is as wide as there are classes, as far as both are said
            width = last.numbers.get("n")
            if width is not None and asked.classes is not None and int(width.text) != asked.classes:
                last = None
        if last in repeated:
            last = None
        self.last = last
        self.missing = last is None and asked.classes is not None

    def fires(self, layer: HeLayer) -> bool:
        """Whether a linear layer has neurons."""
        return layer != self.last or self._voting or self._asked.output == "spikes"

    def width(self, layer: HeLayer) -> list[NumberSlot]:
        """How many outputs a linear layer has; where neither it nor the option says so, that is reported."""
        if "n" in layer.numbers:
            return [layer.numbers["n"]]
        if layer == self.last and not self._voting and self._asked.classes is not None:
            return [NumberSlot("n", str(self._asked.classes), layer.span, layer.span)]
        self._unsaid(layer, "how many outputs it has")
        return []

    def votes(self, layer: HeLayer) -> list[NumberSlot]:
        """How many neurons vote for each class; what is missing or does not fit is reported."""
        width = self.last.numbers.get("n") if self.last else None
        classes = self._asked.classes
        if width is None or classes is None:
            self._unsaid(layer, "for how many classes its neurons vote")
            return []
        voters, over = divmod(int(width.text), classes)
        if over or not voters:
            self._reporter.report(
                "voting-mismatch",
                f"{width.text} neurons cannot vote evenly for {classes} classes",
                width.span,
                label=f"not a multiple of {classes}",
                help=f"{max(1, voters) * classes} can; if a matrix weighs the votes, write {width.text}FC-{classes}",
            )
            return []
        return [NumberSlot("k", str(voters), layer.span, layer.span)]

    def _unsaid(self, layer: HeLayer, what: str) -> None:
        self._reporter.report(
            "missing-argument",
            f"'{layer.span.text}' does not say {what}",
            layer.span,
            label="a number is missing",
            help=f"write e.g. 10{layer.span.text}, or add --dialect 'he(classes=10)'"
            if layer.role == "linear"
            else "add the number of classes: --dialect 'he(classes=10)', after a layer that has more neurons",
        )


ARGUMENT_ORDER = "nksp"
"""In the order in which ours are written; ``n`` represents the number after the symbol."""


class HeItemWriter:
    """Writes the layers of one text.

    Attributes:
        inputs: The layers whose text says how many values they read, and the number.
        unnamed: The first layer whose neurons are ``SN``.
    """

    def __init__(self, layers: tuple[Item, ...], asked: Conventions, assumed: Assumptions) -> None:
        roles = {layer.role for layer in iterate_layers(layers) if isinstance(layer, HeLayer)}
        self._fires, self._normed = "neuron" not in roles, "norm" in roles
        self._layers, self._asked, self._assumed = layers, asked, assumed
        self._ending = OutputLayer(layers, asked, assumed.reporter)
        self._weighty = False
        self._waiting: HeLayer | None = None
        self.inputs: list[tuple[Span, NumberSlot]] = []
        self.unnamed: Span | None = None

    def body(self, whole: Span) -> tuple[Ours, ...]:
        """All layers.

        Args:
            whole: The place of what the option adds at the end.
        """
        written = self._sequence(self._layers)
        if self._ending.missing and written:
            written.append(_call(whole, "FC", [NumberSlot("n", str(self._asked.classes), whole, whole)]))
        elif self._ending.last is None and self._layers:
            self._assumed.say(conventions.NO_OUTPUT, self._layers[-1].span)
        return tuple(written)

    def _sequence(self, items: tuple[Item, ...]) -> list[Ours]:
        written: list[Ours] = []
        for place, item in enumerate(items):
            following = items[place + 1] if place + 1 < len(items) else None
            if isinstance(item, RepeatedWords):
                written += self._neurons()
                if inner := self._sequence(item.items):
                    written.append(Repeat(Sequence(tuple(inner), span=item.span), item.count, span=item.span))
            elif isinstance(item, HeLayer):
                # norms, and pools where the option says so, come before the neurons of the layer before them
                passes = item.role == "norm" or (item.role == "pool" and self._asked.neurons == "pool")
                written += [*([] if passes else self._neurons()), *self._layer(item), *self._norm(item, following)]
                self._wait(item)
                if item.role == "pool":
                    written += self._neurons()
        return [*written, *self._neurons()]

    # --- neurons -------------------------------------------------------------------------------------------

    def _wait(self, layer: HeLayer) -> None:
        """Remembers a layer whose neurons come next, where it has some."""
        where = self._asked.neurons or "conv"
        if layer.role in {"conv", "linear"}:
            self._weighty = True
            fires = layer.role == "conv" or self._ending.fires(layer)
            self._waiting = layer if self._fires and fires else None
            if layer == self._ending.last and self._fires and not fires and self._asked.output is None:
                self._assumed.say(conventions.OUTPUT, layer.span)
        elif layer.role == "pool" and where == "both" and self._fires and self._weighty:
            self._waiting = layer

    def _neurons(self) -> list[Ours]:
        layer, self._waiting = self._waiting, None
        if layer is None:
            return []
        if self._asked.neurons is None:
            self._assumed.say(conventions.NEURONS, layer.span)
        return [self._own_neuron(layer.span)]

    def _own_neuron(self, span: Span) -> Call:
        self.unnamed = self.unnamed or span
        return _call(span, SN)

    # --- single layers -------------------------------------------------------------------------------------

    def _layer(self, layer: HeLayer) -> list[Ours]:
        numbers = [layer.numbers[letter] for letter in ARGUMENT_ORDER if letter in layer.numbers]
        if layer.remark:
            self._assumed.say(conventions.REMARK, layer.span, remark=layer.remark)
        match layer.role:
            case "conv":
                numbers += self._padding(layer)
            case "linear":
                numbers = self._ending.width(layer)
                self.inputs += [(layer.span, layer.numbers["inputs"])] if "inputs" in layer.numbers else []
            case "voting":
                numbers = self._ending.votes(layer)
            case "neuron" if layer.symbol == SN:
                return [self._own_neuron(layer.span)]
            case "loss" | "start":
                return []
        if not layer.symbol and self._asked.pool is None:
            self._assumed.say(conventions.POOL, layer.span)
        return [_call(layer.span, layer.symbol or self._asked.pool or "AP", numbers)]

    def _padding(self, layer: HeLayer) -> list[NumberSlot]:
        """Nothing where ours pads in the same way; else the number that ours needs."""
        if "p" in layer.numbers or int(layer.numbers["k"].text) == 1:
            return []
        if self._asked.padding is None:
            self._assumed.say(conventions.PADDING, layer.span)
        return [NumberSlot("p", "0", layer.span, layer.span)] if self._asked.padding == "none" else []

    def _norm(self, layer: HeLayer, following: Item | None) -> list[Ours]:
        """The norm that the option puts after a convolution, unless the text has one there."""
        if layer.role != "conv" or (isinstance(following, HeLayer) and following.role == "norm"):
            return []
        norm = self._asked.norm
        if norm is None and not self._normed:
            self._assumed.say(conventions.NORM, layer.span)
        return [_call(layer.span, norm)] if norm not in {None, "none"} else []


def _call(span: Span, symbol: str, numbers: list[NumberSlot] | None = None) -> Call:
    """A layer of ours, whose letters and numbers know their places in the text."""
    parts = [Word(symbol, span=span)]
    for number in numbers or ():
        letters = number.place.part(0, number.span.start - number.place.start)
        parts += [Word(number.letter, span=letters)] if number.letter != "n" else []
        parts.append(Word("0" * number.text.startswith(".") + number.text, span=number.span))
    return Call(Name(tuple(parts), (False,) * len(parts), span=span), span=span)
