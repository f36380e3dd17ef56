"""What a text says before its first layer, and of its neurons: the header of a file of ours."""

from __future__ import annotations

from sewdsl.dialects.he.conventions import Assumptions
from sewdsl.dialects.he.resolve_words import InputShape, Item, iterate_layers
from sewdsl.dialects.he.word_forms import HeLayer
from sewdsl.source import Span
from sewdsl.syntax.tree import Call, Name, Setting, Size, Value, Word


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
            self._assumed.features(first.span)
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
        self._assumed.size(shape.span, found)

    def settings(self, layers: tuple[Item, ...], *, unnamed: Span | None) -> tuple[Setting, ...]:
        """The lines of the header.

        Args:
            layers: Of the text.
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
            self._assumed.kind(unnamed)
            found.append(_setting("neuron", _word("LIF", unnamed), unnamed))
        return tuple(found)


def _setting(key: str, value: Value, span: Span) -> Setting:
    return Setting(Word(key, span=span), (value,), span=span)


def _word(text: str, span: Span) -> Call:
    return Call(Name((Word(text, span=span),), (False,), span=span), span=span)
