"""From words to layers: each word is looked up where it is, and what is none is reported."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from sewdsl.diagnostics import Edit, Fix
from sewdsl.dialects.he.word_forms import HeLayer, NumberSlot, nearest_word, parse_word, word_splits
from sewdsl.light_dataclass import dataclass
from sewdsl.reporter import Reporter
from sewdsl.source import Span
from sewdsl.syntax import tree

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
