"""The words of the dialect: ``128C3``, ``AP2``, ``1024FC``, ``10``, and what each means in ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Literal

from sewdsl.elaborate.suggestions import nearest_name
from sewdsl.ir.op import Activation
from sewdsl.light_dataclass import dataclass
from sewdsl.ops import catalogue
from sewdsl.source import Span

Role = Literal["conv", "pool", "linear", "norm", "neuron", "other", "voting", "start", "loss"]
"""What a layer is to its neighbours."""

SN = "SN"
MAX_WORD_LENGTH = 100
"""Characters of a word that is tried to be read as several."""


@dataclass(frozen=True)
class WordForm:
    """One way to write a layer.

    Attributes:
        role: What it is to its neighbours.
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
        text: Its digits.
        span: Where they are.
        place: Where they are with the letter before them.
    """

    letter: str
    text: str
    span: Span
    place: Span


@dataclass(frozen=True)
class HeLayer:
    """A word that was understood.

    Attributes:
        role: What it is to its neighbours.
        symbol: What ours begins with.
        numbers: Its numbers, by letter.
        span: The whole word.
        remark: As in :class:`WordForm`.
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
