"""Words of the dialect, ``128C3``, ``AP2``, ``1024FC``, their sewdsl equivalents, and the layers of a string."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Literal

from sewdsl.diagnostics import Edit, Fix
from sewdsl.ir.op import Activation
from sewdsl.light_dataclass import dataclass
from sewdsl.ops import catalogue
from sewdsl.reporter import Reporter
from sewdsl.source import Span
from sewdsl.syntax import tree
from sewdsl.syntax.suggestions import nearest_name

Role = Literal["conv", "pool", "linear", "norm", "neuron", "other", "voting", "start", "loss"]
"""Role of a layer in the sequence."""

SN = "SN"
MAX_WORD_LENGTH = 100
"""Maximum length of a word that may be two words without a hyphen, in characters."""


@dataclass(frozen=True)
class WordForm:
    """Spelling of a layer."""

    role: Role
    symbol: str
    """Symbol of the sewdsl layer. Empty if it depends on the conventions."""
    pattern: re.Pattern[str]
    """Case-insensitive pattern of the word. Its groups have the letters of compact notation, ``n`` for the number after
    the symbol, and ``inputs`` for a stated number of inputs."""
    remark: str = ""
    """Difference from the sewdsl layer, for a note."""


def _form(role: Role, symbol: str, pattern: str, remark: str = "") -> WordForm:
    return WordForm(role, symbol, re.compile(pattern, re.IGNORECASE), remark)


_S = r"(?:S(?P<s>\d+))?"
_SUM = "a sum over each window, read as a mean: the following weights differ by a factor"
_LOSS = "the loss belongs in a recipe and is ignored"

FORMS = (
    _form("conv", "c", rf"(?P<n>\d+)C(?:onv)?(?P<k>\d+){_S}(?:P(?P<p>\d+))?"),
    _form("pool", "AP", rf"(?:AP|AvgPool)(?P<k>\d+){_S}"),
    _form("pool", "AP", r"(?P<k>\d+)(?:AP|S)"),
    _form("pool", "AP", r"(?P<k>\d+)A", _SUM),
    _form("pool", "MP", rf"(?:MP|MaxPool)(?P<k>\d+){_S}"),
    _form("pool", "MP", r"(?P<k>\d+)MP"),
    _form("pool", "", rf"P(?:ool)?(?P<k>\d+){_S}"),
    _form("pool", "", r"(?P<k>\d+)P"),
    _form("linear", "FC", r"(?P<n>\d+)(?:FC)?"),
    _form("linear", "FC", r"FC(?P<n>\d+)?"),
    _form("linear", "FC", r"(?P<inputs>\d+)FC(?P<n>\d+)"),
    _form("linear", "FC", r"(?P<n>\d+)O"),
    _form("linear", "FC", r"(?P<n>\d+)(?:SoftMax|SVM|SSE)", _LOSS),
    _form("norm", "BN", r"BN"),
    _form("norm", "tdBN", r"tdBN"),
    _form("other", "GAP", r"GAP"),
    _form("other", "DP", r"(?:DP|Dropout)(?P<n>0?\.\d+)?"),
    _form("other", "DP", r"(?P<n>0?\.\d+)DP"),
    _form("other", "Flatten", r"Flatten"),
    _form("voting", "AP", r"Voting"),
    _form("start", "", r"Input"),
    _form("loss", "", r"SoftMax", _LOSS),
)

WORD_SPELLINGS = (
    *("C", "Conv", "AP", "AvgPool", "MP", "MaxPool", "P", "Pool", "FC", "O", "BN", "tdBN", "GAP", "DP", "Dropout"),
    *("Flatten", "Voting", "Input", "SoftMax", "SVM", "SSE", SN),
)
"""Words without numbers, for suggestions."""


@dataclass(frozen=True)
class NumberSlot:
    """Number in a word."""

    letter: str
    """Letter in compact notation."""
    text: str
    span: Span
    token: Span
    """Span of the digits with the letters before them."""


@dataclass(frozen=True)
class HeLayer:
    """Layer of the dialect."""

    role: Role
    symbol: str
    numbers: dict[str, NumberSlot]
    """Numbers of the word by letter."""
    span: Span
    remark: str = ""
    encodes: bool = False
    """Whether it is marked as the layer that converts an image to spikes."""


@cache
def _neurons(kinds: int) -> dict[str, str]:  # noqa: ARG001 -- cache key: plugins extend the catalogue
    activations = [name for name, kind in catalogue().items() if issubclass(kind, Activation)]
    return {name.casefold(): name for name in [*activations, SN]}


def neurons_by_name() -> dict[str, str]:
    """Return the names of activations by casefolded name."""
    return _neurons(len(catalogue()))


def parse_word(span: Span) -> HeLayer | None:
    """Return the layer of a word, or None if it is not a word of the dialect."""
    neuron = neurons_by_name().get(span.text.casefold())
    if neuron is not None:
        return HeLayer("neuron", neuron, {}, span)
    for form in FORMS:
        match = form.pattern.fullmatch(span.text)
        if match:
            return HeLayer(form.role, form.symbol, _numbers(match, span), span, form.remark)
    return None


def _numbers(match: re.Match[str], span: Span) -> dict[str, NumberSlot]:
    """Return the numbers of a word with their spans. Letters belong to the number after them."""
    numbers: dict[str, NumberSlot] = {}
    end = 0
    for letter in sorted((key for key, text in match.groupdict().items() if text), key=match.start):
        digits = span.part(match.start(letter), match.end(letter))
        with_letters = span.part(end, match.end(letter))
        numbers[letter] = NumberSlot(letter, match[letter], digits, with_letters)
        end = match.end(letter)
    return numbers


def is_word(text: str) -> bool:
    """Return whether a text is a word of the dialect."""
    return text.casefold() in neurons_by_name() or any(form.pattern.fullmatch(text) for form in FORMS)


def word_splits(text: str) -> Iterator[int]:
    """Yield the positions at which a text splits into two words, except within a number."""
    # The search takes quadratic time.
    if len(text) <= MAX_WORD_LENGTH:
        for cut in range(1, len(text)):
            if not text[cut - 1 : cut + 1].isdigit() and is_word(text[:cut]) and is_word(text[cut:]):
                yield cut


def nearest_word(text: str) -> str | None:
    """Return the nearest word with the same numbers: ``AvgPool2`` for ``AvPool2``."""
    # Numbers must agree: only the letters can be misspelt.
    letters = re.search(r"[A-Za-z_]+", text)
    nearest = nearest_name(letters[0], [*WORD_SPELLINGS, *neurons_by_name().values()]) if letters else None
    if letters is None or nearest is None:
        return None
    corrected = text[: letters.start()] + nearest + text[letters.end() :]
    return corrected if corrected != text and is_word(corrected) else None


_SIZE = re.compile(r"\d+([x\u00d7*]\d+)+")
_RATE = re.compile(r"0?\.\d+")


@dataclass(frozen=True)
class RepeatedWords:
    """Repeated layers."""

    items: tuple[Item, ...]
    count: tree.Number
    span: Span


@dataclass(frozen=True)
class InputShape:
    """Input size at the start of a string: ``28x28`` or ``34x34x2``."""

    dims: tuple[int, ...]
    span: Span


Item = HeLayer | RepeatedWords | InputShape


def iterate_layers(items: tuple[Item, ...]) -> Iterator[HeLayer | InputShape]:
    """Yield all layers in order. Each copy of a repeat is yielded once."""
    for item in items:
        if isinstance(item, RepeatedWords):
            yield from iterate_layers(item.items)
        else:
            yield item


class Resolver:
    """Resolver of the words of one string."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def items(self, sequence: tree.Sequence) -> tuple[Item, ...]:
        """Return the layers of a sequence without groups of one copy. Unknown words are reported and omitted."""
        resolved: list[Item] = []
        for item in sequence.items:
            resolved_item = self._item(item)
            # Dissolve groups of one copy: their last layer can then be the output.
            if isinstance(resolved_item, RepeatedWords) and int(resolved_item.count.value) == 1:
                resolved += resolved_item.items
            elif resolved_item is not None:
                resolved.append(resolved_item)
        return tuple(resolved)

    def _item(self, item: tree.Item) -> Item | None:
        """Return one item, or None after reporting an unknown word."""
        if isinstance(item, tree.Repeat) and isinstance(item.count, tree.Number):
            return RepeatedWords(self.items(item.body), item.count, item.span)
        assert isinstance(item, tree.Call)  # noqa: S101 -- the grammar has neither joins nor computed counts
        word = item.name.span
        # The grammar reads a size as a word.
        if _SIZE.fullmatch(word.text):
            return InputShape(tuple(map(int, re.split("[x\u00d7*]", word.text))), word)
        layer = parse_word(word)
        if layer is None:
            self._report_unknown(word)
        elif item.arguments:
            return self._with_argument(layer, item.arguments[0].value.span)
        return layer

    def _with_argument(self, layer: HeLayer, remark: Span) -> HeLayer | None:
        """Return a layer with an argument in parentheses: ``128C3(Encoding)``, ``DP(0.5)``."""
        if layer.role == "conv" and remark.text.casefold() == "encoding":
            return replace(layer, encodes=True)
        # DP0.5(0.5) would state the rate twice.
        if layer.symbol == "DP" and not layer.numbers and _RATE.fullmatch(remark.text):
            return replace(layer, numbers={"n": NumberSlot("n", remark.text, remark, remark)})
        self._reporter.report(
            "unknown-argument",
            f"unexpected argument '{remark.text}' of '{layer.span.text}'",
            remark,
            label="unexpected argument",
            help="write (Encoding) after a convolution, or a rate, e.g. (0.5), after DP; separate layers by '-'",
        )
        return None

    def _report_unknown(self, word: Span) -> None:
        # A unique split is probably a missing hyphen. With several splits, any choice would be a guess.
        cuts = list(word_splits(word.text))
        if len(cuts) == 1:
            self._report_missing_hyphen(word, cuts[0])
            return
        suggestion = nearest_word(word.text)
        self._reporter.report(
            "unknown-name",
            f"unknown layer '{word.text}'",
            word,
            label="not a layer of the dialect",
            help=f"did you mean '{suggestion}'?"
            if suggestion
            else "use a layer, e.g. 128C3, AP2, MP2, GAP, 1024FC, DP or BN, or a neuron",
            fixes=(Fix(f"write '{suggestion}'", (Edit(word, suggestion),), safe=False),) if suggestion else (),
        )

    def _report_missing_hyphen(self, word: Span, cut: int) -> None:
        """Report two words without a hyphen between them."""
        first, second = word.text[:cut], word.text[cut:]
        # The only split into two words: the fix is safe.
        self._reporter.report(
            "missing-hyphen",
            f"missing hyphen in '{word.text}'; expected '{first}-{second}'",
            word.part(cut, cut),
            label="missing '-'",
            help=f"write '{first}-{second}'",
            fixes=(Fix("insert the missing '-'", (Edit(word.part(cut, cut), "-"),)),),
        )
