"""What a name means: a kind with compact arguments, a block, or nothing, with what may be intended."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import field
from functools import cache, cached_property
from typing import cast

from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity
from sewdsl.elaborate import compact_arguments
from sewdsl.elaborate.compact_arguments import FilledName
from sewdsl.elaborate.neuron_kinds import NeuronKinds, shipped_neurons
from sewdsl.elaborate.suggestions import MAX_LENGTH, Names, listed
from sewdsl.elaborate.text_files import SiblingBlocks
from sewdsl.ir.kind import Kind
from sewdsl.ir.op import Activation, FeedbackSum, Layer, Merge
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import Budget
from sewdsl.ops import catalogue, find, plugins
from sewdsl.plugins import plugin_changes
from sewdsl.source import Span
from sewdsl.syntax.lexicon import IDENTITY, LETTERED, OWN_NEURON
from sewdsl.syntax.tree import BlockDefinition, Word

_LOOKALIKES = str.maketrans("lIOo", "1100")
_DIGITS_AND_LOOKALIKES = re.compile(r"[lIOo]*[0-9][lIOo0-9]*")
MAX_SPLIT = 100_000
"""Parts of unknown names of which it is asked, in one text, whether they are whole names."""


@dataclass(frozen=True)
class Vocabulary:
    """The names that a text may use.

    Attributes:
        own: The user's blocks by name without white space.
        unread: Names of blocks and settings whose statements have syntax errors: of what needs them nothing is said.
        siblings: What lies next to the user's file; None for a string, which can use nothing.
        whole: Whether all used files can be had; if not, one of them may define what is not known.
        neurons: Neurons that the text defines, and what else names of kinds mean.
    """

    own: Mapping[str, BlockDefinition] = field(default_factory=dict)
    library: Mapping[str, BlockDefinition] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    siblings: SiblingBlocks | None = None
    whole: bool = True
    neurons: NeuronKinds = field(default_factory=NeuronKinds)

    @cached_property
    def blocks(self) -> Mapping[str, BlockDefinition]:
        """All blocks; the user's come before shipped ones of the same name."""
        return ChainMap(dict(self.own), cast("dict[str, BlockDefinition]", self.library))  # parses none of these

    @property
    def layers(self) -> dict[str, type[Kind]]:
        """Kinds that can be in a sequence, but for the neurons of the library."""
        known = _layers(len(catalogue()), plugin_changes())
        return {**known, **self.neurons.own} if self.neurons.own else known

    def symbol(self, text: str) -> str | None:
        """The kind that a word begins with, if it names one; others are asked where sewdsl has none."""
        if text in self.neurons.own:
            return text
        found = compact_arguments.longest_symbol(text, self.layers)
        return compact_arguments.longest_symbol(text, self.layers) if found is None and plugins() else found

    def complete(self, text: str) -> bool:
        """Whether a word is a whole name: a block, ``SN``, or a kind with valid compact arguments."""
        if text in self.blocks or text == OWN_NEURON:
            return True
        head = self.symbol(text)
        return head is not None and compact_arguments.is_complete(text[len(head) :], self.layers[head])

    def kind(self, text: str) -> tuple[str, type[Kind]] | None:
        """The kind that a word begins with, and its name, also of the neurons of the library."""
        head = self.symbol(text)
        shipped = self.neurons.shipped(text) if head != text else None
        if head is None or (shipped is not None and not self.complete(text)):
            return None if shipped is None else (text, shipped)
        return head, self.layers[head]

    def any_kind(self, text: str) -> type[Kind] | None:
        """The kind that a word names, of any family: by its whole name, or of a layer with compact arguments."""
        return self.neurons.find(text) or find(self.symbol(text) or "")

    def with_digits(self, text: str) -> str | None:
        """The whole name that a word is once its l, I and O next to digits are digits too: ``FC10`` for ``FC1O``.

        Returns:
            None where there is no such name. A number before the name goes after it: ``FC10`` for ``l0FC``.
        """
        digits = _DIGITS_AND_LOOKALIKES.sub(lambda run: run[0].translate(_LOOKALIKES), text)
        if digits == text or len(text) > MAX_LENGTH:
            return None
        name = digits.lstrip("0123456789")
        number = digits[: len(digits) - len(name)]
        return next((whole for whole in (digits, f"{name}{number}") if self.complete(whole)), None)

    @cached_property
    def meanings(self) -> Meanings:
        """What names may mean that are none of these."""
        shipped = {name: kind for name in shipped_neurons() if (kind := self.neurons.shipped(name))}
        return Meanings({**shipped, **self.layers}, self.blocks)

    @cached_property
    def _budget(self) -> Budget:
        return Budget(MAX_SPLIT)

    @cached_property
    def _splits(self) -> dict[str, list[tuple[int, ...]]]:
        return {}

    def splits(self, text: str) -> list[tuple[int, ...]]:
        """The ways to read a word as two or more whole names, two at most: the offsets between them."""
        if text not in self._splits:
            self._splits[text] = self._split(text) if len(text) <= MAX_LENGTH else []
        return self._splits[text]

    def _split(self, text: str) -> list[tuple[int, ...]]:
        whole: dict[int, list[tuple[int, ...]]] = {len(text): [()]}
        for start in range(len(text) - 1, -1, -1):
            ways: list[tuple[int, ...]] = []
            for end in range(start + 1, len(text) + 1):
                if end not in whole:
                    continue
                if not self._budget.spend(1):
                    return []
                if self.complete(text[start:end]):
                    ways += [(end, *rest) for rest in whole[end]]
                if len(ways) > 1:  # two ways are as ambiguous as many
                    break
            if ways:
                whole[start] = ways[:2]
        return [way[:-1] for way in whole.get(0, ()) if len(way) > 1]


@cache
def _layers(kinds: int, changes: int) -> dict[str, type[Kind]]:  # noqa: ARG001 -- when the catalogue grows, or changes
    return {name: kind for name, kind in catalogue().items() if issubclass(kind, Layer | Activation)}


# --- names that mean nothing ---------------------------------------------------------------------------------

MAX_COMPARED = 500_000
"""Names with which the unknown names of one text are compared; beyond them, nothing comes to mind."""
NEAR_VALUE = 0.75
"""How similar the name of a value must be, from 0 to 1: more than that of a layer, since it is freely chosen."""
NAMES_ELSEWHERE = {
    "convolution": "c",
    "convlayer": "c",
    "convtranspose": "tc",
    "deconv": "tc",
    "deconvolution": "tc",
    "transposedconvolution": "tc",
    "interpolate": "UP",
    "stochasticdepth": "DropPath",
    "swish": "SiLU",
    "fullyconnected": "FC",
    "dense": "FC",
    "pool": "AP",
    "pooling": "AP",
    "adaptiveavgpool": "GAP",
    "ifnode": "IF",
    "lifnode": "LIF",
    "leaky": "LIF",
    "parametriclif": "PLIF",
    "parametriclifnode": "PLIF",
}
"""Names of other libraries, in small letters and without ``2d``, that are not near ours."""
RESIDUAL = re.compile(r"res(?:idual|net)?_?block", re.IGNORECASE)
"""What others call a block with a shortcut, of which there are several kinds here."""
VOTING = re.compile(r"voting|vote", re.IGNORECASE)
"""Begins the name of the layer that is average pooling here."""
_HEAD = re.compile(r"([A-Za-z_]*?)((?:[123][dD])?)(\d.*)?")
_EXAMPLE = re.compile(r"In a network: ``([^`]+)``")


@dataclass(frozen=True)
class NameSuggestion:
    """What a name may mean.

    Attributes:
        text: What would be in its place; empty where it is not known with its numbers.
    """

    text: str
    help: str


class Meanings:
    """What unknown names may mean, as long as not too many were compared."""

    def __init__(self, layers: Mapping[str, type[Kind]], blocks: Mapping[str, BlockDefinition]) -> None:
        self._layers, self._blocks = layers, blocks
        self._budget = Budget(MAX_COMPARED)
        self._found: dict[str, NameSuggestion | None] = {}

    def of(self, text: str) -> NameSuggestion | None:
        """What a name may mean; None: nothing comes to mind.

        Args:
            text: The name without white space, with what directly follows it: ``Conv64``.
        """
        if len(text) > MAX_LENGTH:
            return None
        if text not in self._found:
            self._found[text] = self._of(text)
        return self._found[text]

    def of_value(self, text: str, values: Collection[str]) -> NameSuggestion | None:
        """The value whose name is nearly a name that is unknown; None: there is none."""
        near = (
            Names(values).nearest(text, NEAR_VALUE, self._budget)
            if values and self._budget.spend(len(values))
            else None
        )
        return NameSuggestion(near, f"did you mean the value '{near}'?") if near else None

    def _of(self, text: str) -> NameSuggestion | None:
        if RESIDUAL.match(text):
            residual = listed(title for title in self._titles.values() if title.endswith("Block"))
            return NameSuggestion("", f"the blocks here are {residual}: write e.g. SEW Block (c64)")
        if VOTING.match(text):
            return NameSuggestion("", "the voting layer is APk10 after a layer of 10 neurons for each class")
        match = _HEAD.fullmatch(text)
        head, rest = (match[1].casefold(), match[3] or "") if match else ("", "")
        named = self._spoken.get(head.replace("_", ""))
        written = _written(named, rest, self._layers) or _written_here(text, self._layers)
        near = written or self._names.nearest(text, budget=self._budget)
        if near is not None:
            said = self._titles.get(near, near)
            return NameSuggestion(said, f"did you mean '{said}'?")
        if not named:
            return None
        examples = _EXAMPLE.search(self._layers[named].__doc__ or "")
        return NameSuggestion("", f"it is written like {examples[1]}" if examples else f"its name is {named}")

    @cached_property
    def _titles(self) -> dict[str, str]:
        """The names of the blocks as they are defined, by those without white space."""
        parts = {key: block.name.parts for key, block in self._blocks.items()}
        return {key: " ".join(word.text for word in words if isinstance(word, Word)) for key, words in parts.items()}

    @cached_property
    def _names(self) -> Names:
        return Names({*self._layers, *self._titles, "SN", "id"})

    @cached_property
    def _spoken(self) -> dict[str, str]:
        """The kinds by their names in small letters, by those of their classes, and by those of other libraries."""
        spoken = {kind.__name__.casefold(): name for name, kind in self._layers.items()}
        spoken |= {kind.key.replace("_", ""): name for name, kind in self._layers.items()}
        spoken |= {name.casefold(): name for name in self._layers}
        return NAMES_ELSEWHERE | spoken


def _written(name: str | None, rest: str, layers: Mapping[str, type[Kind]]) -> str | None:
    """The kind with the numbers after it, if they are whole: with its first letter too, ``APk2`` of ``AvgPool2``."""
    if name is None:
        return None
    letters = [letter for letter in layers[name].letters() if letter]
    tries = [name + rest, *(name + letter + rest for letter in letters[:1] if rest)]
    return next((text for text in tries if _complete(text, name, layers)), None)


def _written_here(text: str, layers: Mapping[str, type[Kind]]) -> str | None:
    """Our own letters in other cases: ``C32k3``, ``Mpk2``."""
    begun = ((name, name + text[len(name) :]) for name in layers if text.casefold().startswith(name.casefold()))
    return next((own for name, own in begun if _complete(own, name, layers)), None)


def _complete(text: str, name: str, layers: Mapping[str, type[Kind]]) -> bool:
    """Whether these are all arguments that the kind needs, and no others."""
    return compact_arguments.is_complete(text[len(name) :], layers[name])


def check_unknown(
    name: FilledName, vocabulary: Vocabulary, path: tuple[str, ...], values: Collection[str] = ()
) -> Iterator[Diagnostic]:
    """Says that a name means nothing, and what may be intended; nothing where a file that is missing may define it."""
    splits = vocabulary.splits(name.text)
    if len(splits) == 1:
        yield _lost_hyphen(name, splits[0], path)
        return
    other = catalogue().get(name.text)
    if other is not None:
        families = [base.__name__.lower() for base in other.__mro__[1:] if base.__module__.startswith("sewdsl.ir")]
        family = "merge" if issubclass(other, FeedbackSum) else families[0]
        article = "an" if family[0] in "aeiou" else "a"
        message, help_text, edits = f"'{name.text}' is {article} {family}, not a layer or a block", _place(other), []
        layers = vocabulary.layers.values()
        wanted = next((kind for kind in layers if issubclass(kind, Activation) and kind.elsewhere == name.text), None)
        if wanted is not None:
            help_text = f"write {wanted.kind}: {name.text} itself can only be a value, e.g. LIF(surrogate={name.text})"
            edits = [Fix(f"write '{wanted.kind}'", (Edit(name.span, wanted.kind),))]
        yield Diagnostic(
            "wrong-kind", Severity.ERROR, message, name.span, path=path, help=help_text, fixes=tuple(edits)
        )
        return
    if not vocabulary.whole:
        return
    otherwise = _other_form(name, vocabulary, path)
    whole = all(own for _, _, own in name.pieces)
    if otherwise is None and not whole and name.gaps and vocabulary.complete(name.text):
        message, hint = f"white space inside '{name.span.text}'", "write it without the white space"
        yield Diagnostic("unknown-name", Severity.ERROR, message, name.span, help=hint, path=path)
        return
    found = otherwise or (_meant(name, vocabulary, values) if whole else None)
    fixes = (Fix(f"write '{found.text}'", (Edit(name.span, found.text),), safe=False),) if found and found.text else ()
    yield Diagnostic(
        "unknown-name",
        Severity.ERROR,
        f"unknown name '{name.span.text}'",
        name.span,
        label="not a layer, a neuron or a block",
        help=found.help if found else "'sewdsl nets --kinds' lists all names",
        path=path,
        fixes=fixes,
    )


def _other_form(name: FilledName, vocabulary: Vocabulary, path: tuple[str, ...]) -> NameSuggestion | None:
    """What is written otherwise: a block's arguments without parentheses, a shortcut's ``or`` left out."""
    if not name.gaps:
        return None
    first, last = name.gaps[0], name.gaps[-1]
    where = path[-2] if len(path) > 1 else ""
    if name.text[:first] == IDENTITY and re.fullmatch(r"shortcut|operand([2-9]|1[0-9]+)", where):
        return _write(f"{IDENTITY} or {name.at(first, len(name.text)).text}")
    if name.text[:last] in vocabulary.blocks and re.fullmatch(LETTERED, name.text[last:]):
        return _write(f"{name.at(0, last).text} ({name.at(last, len(name.text)).text})")
    return None


def did_you_mean_digits(name: str) -> str:
    """What is said of letters that look like digits."""
    return f"did you mean '{name}', with digits in place of letters?"


def _write(text: str) -> NameSuggestion:
    return NameSuggestion(text, f"write '{text}'")


def _meant(name: FilledName, vocabulary: Vocabulary, values: Collection[str]) -> NameSuggestion | None:
    """A name that is nearly the same, unless a file next to it defines this very one."""
    digits = vocabulary.with_digits(name.text)
    if digits is not None:
        return NameSuggestion(digits, did_you_mean_digits(digits))
    elsewhere = vocabulary.siblings.blocks.get(name.text) if vocabulary.siblings else None
    if elsewhere is not None:
        return NameSuggestion("", f"'{elsewhere}' defines it: add 'use \"{elsewhere}\"' to the file")
    found = vocabulary.meanings.of_value(name.text, values) or vocabulary.meanings.of(name.text)
    if vocabulary.siblings is None or not name.gaps:  # names of several words are those of blocks
        return found
    use = "a block of another file needs 'use \"file.net\"'"
    return NameSuggestion(found.text, f"{found.help} If not: {use}") if found else NameSuggestion("", use)


def _lost_hyphen(name: FilledName, cuts: tuple[int, ...], path: tuple[str, ...]) -> Diagnostic:
    words = [name.text[a:b] for a, b in zip((0, *cuts), (*cuts, len(name.text)), strict=True)]
    edits = []
    for cut in cuts:
        before, after = name.at(cut - 1, cut).end, name.at(cut, cut + 1).start
        edits.append(Edit(Span(name.span.source, before, after), "-"))
    read = " and ".join([", ".join(words[:-1]), words[-1]])
    return Diagnostic(
        "missing-hyphen",
        Severity.ERROR,
        f"'{' '.join(name.span.text.split())}' is {read} without the hyphen between",
        edits[0].span,
        label="a '-' is missing here",
        help=f"write '{'-'.join(words)}'",
        path=path,
        fixes=(Fix("insert the missing '-'", tuple(edits)),),
    )


def _place(kind: type[Kind]) -> str:
    if issubclass(kind, Merge):
        return f"write {kind.kind}[ {' | '.join(kind.names(2))} ]"
    return "it can only be a value, e.g. LIF(surrogate=ATan)" if kind.key != "input" else "remove it"
