"""How a text ends: which layer is the output, for how many classes, and whether neurons vote."""

from __future__ import annotations

from sewdsl.dialects.he.conventions import Conventions
from sewdsl.dialects.he.resolve_words import Item, RepeatedWords, iterate_layers
from sewdsl.dialects.he.word_forms import HeLayer, NumberSlot
from sewdsl.reporter import Reporter


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
