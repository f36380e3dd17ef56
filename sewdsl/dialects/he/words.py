"""The words of the dialect: ``128C3``, ``AP2``, ``1024FC``; what each means in ours, and the layers of a text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Literal

from sewdsl.diagnostics import Edit, Fix
from sewdsl.elaborate.suggestions import nearest_name
from sewdsl.ir.op import Activation
from sewdsl.light_dataclass import dataclass
from sewdsl.ops import catalogue
from sewdsl.reporter import Reporter
from sewdsl.source import Span
from sewdsl.syntax import tree

Role = Literal["conv", "pool", "linear", "norm", "neuron", "other", "voting", "start", "loss"]
"""What a layer is to its neighbours."""

SN = "SN"
MAX_WORD_LENGTH = 100
"""Characters of a word that is tried to be read as several."""


@dataclass(frozen=True)
class WordForm:
    """One way to write a layer.

    Attributes:
        symbol: What ours begins with; empty where that depends on the conventions.
        pattern: Of the word, in capitals or not. Its groups are named by the letters of our compact notation, with
            ``n`` for the number after the symbol; ``inputs`` is the number of values that a layer says to read.
        remark: What the word says in addition to its layer, or differs in from ours.
    """

    role: Role
    symbol: str
    pattern: re.Pattern[str]
    remark: str = ""


def _form(role: Role, symbol: str, pattern: str, remark: str = "") -> WordForm:
    return WordForm(role, symbol, re.compile(pattern, re.IGNORECASE), remark)


_S = r"(?:S(?P<s>\d+))?"
_SUM = "it sums each window, where ours takes the mean: the weights after it differ by a factor"
_LOSS = "what the network is trained with belongs into a recipe, and is left out"

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
"""The letters of all words, from which the nearest is suggested."""


@dataclass(frozen=True)
class NumberSlot:
    """A number in a word.

    Attributes:
        letter: That of our compact notation.
        span: Where its digits are.
        place: Where these are with the letter before them.
    """

    letter: str
    text: str
    span: Span
    place: Span


@dataclass(frozen=True)
class HeLayer:
    """A word that was understood.

    Attributes:
        numbers: Its numbers, by letter.
        encodes: Whether it is marked as the layer that makes spikes of an image.
    """

    role: Role
    symbol: str
    numbers: dict[str, NumberSlot]
    span: Span
    remark: str = ""
    encodes: bool = False


@cache
def _neurons(kinds: int) -> dict[str, str]:  # noqa: ARG001 -- the catalogue grows when other distributions are asked
    known = [name for name, kind in catalogue().items() if issubclass(kind, Activation)]
    return {name.casefold(): name for name in [*known, SN]}


def neurons_by_name() -> dict[str, str]:
    """Names of activations, by their small letters."""
    return _neurons(len(catalogue()))


def parse_word(span: Span) -> HeLayer | None:
    """What the word at a place means; None if it is no word of the dialect."""
    neuron = neurons_by_name().get(span.text.casefold())
    if neuron is not None:
        return HeLayer("neuron", neuron, {}, span)
    for form in FORMS:
        found = form.pattern.fullmatch(span.text)
        if found:
            return HeLayer(form.role, form.symbol, _numbers(found, span), span, form.remark)
    return None


def _numbers(found: re.Match[str], span: Span) -> dict[str, NumberSlot]:
    """The numbers of a word; the letters in front of one belong to it."""
    numbers: dict[str, NumberSlot] = {}
    end = 0
    for letter in sorted((key for key, text in found.groupdict().items() if text), key=found.start):
        here = span.part(found.start(letter), found.end(letter))
        place = span.part(end, found.end(letter))
        numbers[letter] = NumberSlot(letter, found[letter], here, place)
        end = found.end(letter)
    return numbers


def is_word(text: str) -> bool:
    """Whether a text is a word of the dialect."""
    return text.casefold() in neurons_by_name() or any(form.pattern.fullmatch(text) for form in FORMS)


def word_splits(text: str) -> Iterator[int]:
    """Every place where a text falls into two words, of which the first does not end within a number."""
    if len(text) <= MAX_WORD_LENGTH:
        for cut in range(1, len(text)):
            if not text[cut - 1 : cut + 1].isdigit() and is_word(text[:cut]) and is_word(text[cut:]):
                yield cut


def nearest_word(text: str) -> str | None:
    """The nearest word, with the same numbers: ``AvPool2`` is ``AvgPool2``."""
    letters = re.search(r"[A-Za-z_]+", text)
    near = nearest_name(letters[0], [*WORD_SPELLINGS, *neurons_by_name().values()]) if letters else None
    if letters is None or near is None:
        return None
    corrected = text[: letters.start()] + near + text[letters.end() :]
    return corrected if corrected != text and is_word(corrected) else None


_SIZE = re.compile(r"\d+([x\u00d7*]\d+)+")
_RATE = re.compile(r"0?\.\d+")


@dataclass(frozen=True)
class RepeatedWords:
    """Layers that come several times."""

    items: tuple[Item, ...]
    count: tree.Number
    span: Span


@dataclass(frozen=True)
class InputShape:
    """``28x28`` or ``34x34x2`` in front of a network."""

    dims: tuple[int, ...]
    span: Span


Item = HeLayer | RepeatedWords | InputShape


def iterate_layers(items: tuple[Item, ...]) -> Iterator[HeLayer | InputShape]:
    """All layers in order, each once."""
    for item in items:
        if isinstance(item, RepeatedWords):
            yield from iterate_layers(item.items)
        else:
            yield item


class Resolver:
    """Looks up the words of one text."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def items(self, sequence: tree.Sequence) -> tuple[Item, ...]:
        """The layers of a sequence; what is not known is reported and left out, and single groups are opened."""
        found: list[Item] = []
        for item in sequence.items:
            read = self._item(item)
            if isinstance(read, RepeatedWords) and int(read.count.value) == 1:
                found += read.items
            elif read is not None:
                found.append(read)
        return tuple(found)

    def _item(self, item: tree.Item) -> Item | None:
        if isinstance(item, tree.Repeat) and isinstance(item.count, tree.Number):
            return RepeatedWords(self.items(item.body), item.count, item.span)
        assert isinstance(item, tree.Call)  # noqa: S101 -- the grammar has neither joins nor computed counts
        word = item.name.span
        if _SIZE.fullmatch(word.text):
            return InputShape(tuple(map(int, re.split("[x\u00d7*]", word.text))), word)
        found = parse_word(word)
        if found is None:
            self._unknown(word)
        elif item.arguments:
            return self._remarked(found, item.arguments[0].value.span)
        return found

    def _remarked(self, found: HeLayer, remark: Span) -> HeLayer | None:
        """A layer with something in parentheses after it: ``128C3(Encoding)``, ``DP(0.5)``."""
        if found.role == "conv" and remark.text.casefold() == "encoding":
            return replace(found, encodes=True)
        if found.symbol == "DP" and not found.numbers and _RATE.fullmatch(remark.text):
            return replace(found, numbers={"n": NumberSlot("n", remark.text, remark, remark)})
        self._reporter.report(
            "unknown-argument",
            f"'{remark.text}' says nothing of '{found.span.text}'",
            remark,
            label="not understood",
            help="(Encoding) may follow a convolution, (0.5) DP; layers are joined by '-'",
        )
        return None

    def _unknown(self, word: Span) -> None:
        """Reports a word that means nothing, and the nearest that does."""
        cuts = list(word_splits(word.text))
        if len(cuts) == 1:
            self._lost_hyphen(word, cuts[0])
            return
        near = nearest_word(word.text)
        self._reporter.report(
            "unknown-name",
            f"unknown layer '{word.text}'",
            word,
            label="no layer of the dialect",
            help=f"did you mean '{near}'?" if near else "layers are 128C3, AP2, MP2, GAP, 1024FC, DP, BN, a neuron …",
            fixes=(Fix(f"write '{near}'", (Edit(word, near),), safe=False),) if near else (),
        )

    def _lost_hyphen(self, word: Span, cut: int) -> None:
        one, other = word.text[:cut], word.text[cut:]
        self._reporter.report(
            "missing-hyphen",
            f"'{word.text}' is {one} and {other} without the hyphen between",
            word.part(cut, cut),
            label="a '-' is missing here",
            help=f"write '{one}-{other}'",
            fixes=(Fix("insert the missing '-'", (Edit(word.part(cut, cut), "-"),)),),
        )
