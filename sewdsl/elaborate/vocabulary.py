"""Vocabulary of a source: kinds and blocks by name, and suggestions for unknown names."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import field
from functools import cache, cached_property
from itertools import pairwise
from typing import cast

from sewdsl.diagnostics import Diagnostic, Edit, Fix
from sewdsl.elaborate import compact_arguments
from sewdsl.elaborate.compact_arguments import FilledName
from sewdsl.elaborate.init_lines import INIT
from sewdsl.elaborate.neuron_kinds import NeuronKinds, shipped_neurons
from sewdsl.elaborate.text_files import SiblingBlocks, shipped_definitions
from sewdsl.ir.kind import Kind
from sewdsl.ir.op import Activation, Layer, Merge
from sewdsl.ir.recipe import Recipe
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import Budget
from sewdsl.ops import catalogue, find, plugins
from sewdsl.plugins import plugin_changes
from sewdsl.source import Span
from sewdsl.syntax.lexicon import IDENTITY, LETTERED, OWN_NEURON, POINTWISE
from sewdsl.syntax.suggestions import MAX_LENGTH, Names, class_words, find_absent, listed, names_elsewhere, question
from sewdsl.syntax.tree import BlockDefinition, Word

_LOOKALIKES = str.maketrans("lIOo", "1100")
_DIGITS_AND_LOOKALIKES = re.compile(r"[lIOo]*[0-9][lIOo0-9]*")
MAX_SPLIT = 100_000
"""Maximum number of parts of unknown names that are looked up in one source, to find lost hyphens."""


@dataclass(frozen=True)
class Vocabulary:
    """Names that a source can use."""

    own: Mapping[str, BlockDefinition] = field(default_factory=dict)
    """Blocks of the source and its used files, by name without white space."""
    library: Mapping[str, BlockDefinition] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    """Names of blocks and settings whose statements have syntax errors. Their uses are not reported."""
    siblings: SiblingBlocks | None = None
    """Other files in the folder of the source. None for a layer string."""
    whole: bool = True
    """Whether all used files could be read. Otherwise one of them may define an unknown name."""
    neurons: NeuronKinds = field(default_factory=NeuronKinds)
    """Kinds by name, including neurons of the source."""

    @cached_property
    def blocks(self) -> Mapping[str, BlockDefinition]:
        """All blocks. Blocks of the source take precedence over shipped ones."""
        # A ChainMap does not copy the library, which parses blocks on access.
        return ChainMap(dict(self.own), cast("dict[str, BlockDefinition]", self.library))

    @property
    def layers(self) -> dict[str, type[Kind]]:
        """Kinds that a sequence can contain, without the neurons of the library."""
        layers = _layers(len(catalogue()), plugin_changes())
        # Neurons with several inputs are merges.
        own = {name: kind for name, kind in self.neurons.own.items() if issubclass(kind, Activation)}
        return {**layers, **own} if own else layers

    def symbol(self, text: str) -> str | None:
        """Return the symbol of a kind at the start of a word, or None."""
        if issubclass(self.neurons.own.get(text, Kind), Activation):
            return text
        symbol = compact_arguments.longest_symbol(text, self.layers)
        # plugins() imports the packages that announce kinds, which can extend the layers.
        return compact_arguments.longest_symbol(text, self.layers) if symbol is None and plugins() else symbol

    def complete(self, text: str) -> bool:
        """Return whether a word is a complete name: a block, ``SN``, or a kind with valid compact arguments."""
        if text in self.blocks or text == OWN_NEURON:
            return True
        head = self.symbol(text)
        return head is not None and compact_arguments.is_complete(text[len(head) :], self.layers[head])

    def kind(self, text: str) -> tuple[str, type[Kind]] | None:
        """Return the symbol and the kind at the start of a word, including neurons of the library."""
        head = self.symbol(text)
        shipped = self.neurons.shipped(text) if head != text else None
        if head is None or (shipped is not None and not self.complete(text)):
            return None if shipped is None else (text, shipped)
        return head, self.layers[head]

    def any_kind(self, text: str) -> type[Kind] | None:
        """Return the kind of any family that a word names, by its name or by a symbol with compact arguments."""
        return self.neurons.find(text) or find(self.symbol(text) or "")

    def with_digits(self, text: str) -> str | None:
        """Return the name with l, I and O next to digits replaced by digits: ``FC10`` for ``FC1O``.

        Returns:
            None if the result is not a complete name. A leading number is moved to the end: ``FC10`` for ``l0FC``.
        """
        digits = _DIGITS_AND_LOOKALIKES.sub(lambda run: run[0].translate(_LOOKALIKES), text)
        if digits == text or len(text) > MAX_LENGTH:
            return None
        name = digits.lstrip("0123456789")
        prefix = digits[: len(digits) - len(name)]
        return next((word for word in (digits, f"{name}{prefix}") if self.complete(word)), None)

    @cached_property
    def meanings(self) -> Meanings:
        """Suggestions for unknown names."""
        shipped = {name: kind for name in shipped_neurons() if (kind := self.neurons.shipped(name))}
        return Meanings({**shipped, **self.layers}, self.blocks)

    @cached_property
    def _budget(self) -> Budget:
        return Budget(MAX_SPLIT)

    @cached_property
    def _splits(self) -> dict[str, list[tuple[int, ...]]]:
        return {}

    def splits(self, text: str) -> list[tuple[int, ...]]:
        """Return up to two ways to split a word into complete names, as offsets of the cuts."""
        if text not in self._splits:
            self._splits[text] = self._split(text) if len(text) <= MAX_LENGTH else []
        return self._splits[text]

    def _split(self, text: str) -> list[tuple[int, ...]]:
        # Splits of the rest of the word from each offset, computed from the end.
        splits_from: dict[int, list[tuple[int, ...]]] = {len(text): [()]}
        for start in range(len(text) - 1, -1, -1):
            splits: list[tuple[int, ...]] = []
            for end in range(start + 1, len(text) + 1):
                if end not in splits_from:
                    continue
                if not self._budget.spend(1):
                    return []
                if self.complete(text[start:end]):
                    splits += [(end, *rest) for rest in splits_from[end]]
                if len(splits) > 1:  # Two splits are already ambiguous.
                    break
            if splits:
                splits_from[start] = splits[:2]
        return [split[:-1] for split in splits_from.get(0, ()) if len(split) > 1]


@cache
def _layers(kinds: int, changes: int) -> dict[str, type[Kind]]:  # noqa: ARG001 -- arguments invalidate the cache
    return {name: kind for name, kind in catalogue().items() if issubclass(kind, Layer | Activation)}


# --- unknown names -------------------------------------------------------------------------------------------

MAX_COMPARED = 500_000
"""Maximum number of comparisons for the unknown names of one source. After that, there are no suggestions."""
NEAR_VALUE = 0.75
"""Minimum similarity to the name of a value, from 0 to 1. It is higher than for layers, since names are arbitrary."""
_HEAD = re.compile(r"([A-Za-z_]*?)((?:[123][dD])?)(\d.*)?")
_EXAMPLE = re.compile(r"In a (?:network|file): ``([^`]+)``")


@dataclass(frozen=True)
class NameSuggestion:
    """Suggestion for an unknown name. The text is empty if the replacement is not known with all arguments."""

    text: str
    help: str


class Meanings:
    """Cached suggestions for the unknown names of one source, with a budget of comparisons."""

    def __init__(self, layers: Mapping[str, type[Kind]], blocks: Mapping[str, BlockDefinition]) -> None:
        self._layers, self._blocks = layers, blocks
        self._budget = Budget(MAX_COMPARED)
        self._found: dict[str, NameSuggestion | None] = {}

    def of(self, text: str) -> NameSuggestion | None:
        """Return a suggestion for a name with compact arguments, e.g. ``Conv64``, or None."""
        if len(text) > MAX_LENGTH:
            return None
        if text not in self._found:
            self._found[text] = self._of(text)
        return self._found[text]

    def of_value(self, text: str, values: Collection[str]) -> NameSuggestion | None:
        """Return the named value that is most similar to an unknown name, or None."""
        near = (
            Names(values).nearest(text, NEAR_VALUE, self._budget)
            if values and self._budget.spend(len(values))
            else None
        )
        return NameSuggestion(near, f"did you mean the value '{near}'?") if near else None

    def _of(self, text: str) -> NameSuggestion | None:
        begun = [title for title in self._titles.values() if title.casefold().startswith(f"{text.casefold()} ")]
        if begun:
            one = begun[0] if len(begun) == 1 else ""
            return NameSuggestion(one, f"did you mean '{one}'?" if one else f"use one of {listed(begun)}")
        match = _HEAD.fullmatch(text)
        head, rest = (match[1].casefold(), match[3] or "") if match else ("", "")
        symbol = next(filter(None, map(self._aliases.get, class_words(head))), None)
        translation = _with_arguments(symbol, rest, self._layers) or _with_symbol_case(text, self._layers)
        # A translation of the whole name is more specific than a similar name.
        near = translation or self._names.nearest(text, budget=self._budget)
        if near is not None:
            title = self._titles.get(near, near)
            return NameSuggestion(title, question(text, title))
        if not symbol:
            return None
        examples = _EXAMPLE.search(self._layers[symbol].__doc__ or "")
        return NameSuggestion("", f"use the form {examples[1]}" if examples else f"use {symbol}")

    @cached_property
    def _titles(self) -> dict[str, str]:
        """Names of blocks as defined, by the names without white space."""
        parts = {key: block.name.parts for key, block in self._blocks.items()}
        return {key: " ".join(word.text for word in words if isinstance(word, Word)) for key, words in parts.items()}

    @cached_property
    def _names(self) -> Names:
        return Names({*self._layers, *self._titles, "SN", "id"})

    @cached_property
    def _aliases(self) -> dict[str, str]:
        """Symbols by other names in lower case: of their classes, of their keys, and in other libraries."""
        aliases = {kind.__name__.casefold(): name for name, kind in self._layers.items()}
        aliases |= {kind.key.replace("_", ""): name for name, kind in self._layers.items()}
        aliases |= {name.casefold(): name for name in self._layers}
        return names_elsewhere() | aliases


def _with_arguments(name: str | None, rest: str, layers: Mapping[str, type[Kind]]) -> str | None:
    """Return a symbol with the arguments of a name, if they are complete: ``APk2`` for ``AvgPool2``."""
    if name is None:
        return None
    letters = [letter for letter in layers[name].letters() if letter]
    tries = [name + rest, *(name + letter + rest for letter in letters[:1] if rest)]
    return next((text for text in tries if _complete(text, name, layers)), None)


def _with_symbol_case(text: str, layers: Mapping[str, type[Kind]]) -> str | None:
    """Return a name with the case of its symbol corrected: ``c32k3`` for ``C32k3``, ``MPk2`` for ``Mpk2``."""
    candidates = ((name, name + text[len(name) :]) for name in layers if text.casefold().startswith(name.casefold()))
    return next((candidate for name, candidate in candidates if _complete(candidate, name, layers)), None)


def _complete(text: str, name: str, layers: Mapping[str, type[Kind]]) -> bool:
    """Return whether a name has all required arguments of its kind, and no others."""
    return compact_arguments.is_complete(text[len(name) :], layers[name])


def check_unknown(
    name: FilledName, vocabulary: Vocabulary, path: tuple[str, ...], values: Collection[str] = ()
) -> Iterator[Diagnostic]:
    """Report an unknown name with a suggestion, unless a used file that cannot be read may define it."""
    splits = vocabulary.splits(name.text)
    if len(splits) == 1:
        yield _lost_hyphen(name, splits[0], path)
        return
    other = vocabulary.neurons.find(name.text)
    if other is not None and not issubclass(other, Layer | Activation):
        message = f"'{name.text}' is {other.noun_phrase()}, expected a layer or a block"
        hint, layer = _place(other), names_elsewhere().get(name.text.casefold())
        fixes = (Fix(f"write '{layer}'", (Edit(name.span, layer),)),) if layer else ()
        hint = f"use {layer}, or {hint}" if layer else hint
        yield Diagnostic("wrong-kind", message, name.span, path=path, help=hint, fixes=fixes)
        return
    if not vocabulary.whole:
        return
    otherwise = _other_form(name, vocabulary, path, values)
    literal = all(is_literal for _, _, is_literal in name.pieces)
    if otherwise is None and not literal and name.gaps and vocabulary.complete(name.text):
        message, hint = f"white space in '{name.span.text}'", "remove the white space"
        yield Diagnostic("unknown-name", message, name.span, help=hint, path=path)
        return
    # The text of an interpolation is not in the source, so there is nothing to compare or replace.
    absent = find_absent(name.text) if literal and otherwise is None else None
    similar = _suggest(name, vocabulary, values) if literal and absent is None else None
    suggestion = otherwise or (NameSuggestion("", absent[1]) if absent else similar)
    fixes = ()
    if suggestion and suggestion.text:
        fixes = (Fix(f"write '{suggestion.text}'", (Edit(name.span, suggestion.text),), safe=False),)
    yield Diagnostic(
        "unknown-name",
        f"unknown name '{name.span.text}'",
        name.span,
        label=f"the language has no {absent[0]}" if absent else "not a layer, neuron or block",
        help=suggestion.help if suggestion else "run 'sewdsl nets --kinds' to list all names",
        path=path,
        fixes=fixes,
    )


def _other_form(
    name: FilledName, vocabulary: Vocabulary, path: tuple[str, ...], values: Collection[str]
) -> NameSuggestion | None:
    """Suggest the correct form of ``SEW Block c32`` (parentheses), ``id c64k1`` (``or``) and ``a b`` (a merge)."""
    if not name.gaps:
        return None
    words = [name.text[start:end] for start, end in pairwise((0, *name.gaps, len(name.text)))]
    if {*words} <= {*values}:
        return NameSuggestion("", f"merge several values, e.g. CAT[ {' | '.join(words)} ]")
    first, last = name.gaps[0], name.gaps[-1]
    where = path[-2] if len(path) > 1 else ""
    if name.text[:first] == IDENTITY and re.fullmatch(r"shortcut|operand([2-9]|1[0-9]+)", where):
        return _write(f"{IDENTITY} or {name.at(first, len(name.text)).text}")
    if name.text[:last] in vocabulary.blocks and re.fullmatch(LETTERED, name.text[last:]):
        return _write(f"{name.at(0, last).text} ({name.at(last, len(name.text)).text})")
    return None


def did_you_mean_digits(name: str) -> str:
    """Return the help for letters that look like digits."""
    return f"did you mean '{name}', with digits instead of letters?"


def _write(text: str) -> NameSuggestion:
    return NameSuggestion(text, f"write '{text}'")


def _suggest(name: FilledName, vocabulary: Vocabulary, values: Collection[str]) -> NameSuggestion | None:
    """Suggest a similar name, or the file next to the source that defines the name."""
    digits = vocabulary.with_digits(name.text)
    if digits is not None:
        return NameSuggestion(digits, did_you_mean_digits(digits))
    elsewhere = vocabulary.siblings.blocks.get(name.text) if vocabulary.siblings else None
    if elsewhere is not None:
        return NameSuggestion("", f"add 'use \"{elsewhere}\"' to the file, which defines it")
    if name.text == POINTWISE:
        return NameSuggestion("", f"write {POINTWISE}{{…}} with an expression, e.g. {POINTWISE}{{1 - x}}")
    similar = vocabulary.meanings.of_value(name.text, values) or vocabulary.meanings.of(name.text)
    shipped = shipped_definitions().get(name.text)
    # Short names, such as 'Embedding', have a meaning in other libraries too.
    if shipped is not None and (name.gaps or similar is None):
        copy = f"'sewdsl nets {shipped.removesuffix('.net')} > {shipped}'"
        return NameSuggestion(
            "", f"copy the shipped file that defines it with {copy}, and add 'use \"{shipped}\"' to yours"
        )
    # Only blocks have names of several words.
    if vocabulary.siblings is None or not name.gaps:
        return similar
    use = "import blocks of other files with 'use \"file.net\"'"
    return NameSuggestion(similar.text, f"{similar.help} Otherwise, {use}") if similar else NameSuggestion("", use)


def _lost_hyphen(name: FilledName, cuts: tuple[int, ...], path: tuple[str, ...]) -> Diagnostic:
    words = [name.text[a:b] for a, b in zip((0, *cuts), (*cuts, len(name.text)), strict=True)]
    edits = []
    # Each edit replaces the white space at a cut, if any.
    for cut in cuts:
        before, after = name.at(cut - 1, cut).end, name.at(cut, cut + 1).start
        edits.append(Edit(Span(name.span.source, before, after), "-"))
    return Diagnostic(
        "missing-hyphen",
        f"missing '-' in '{' '.join(name.span.text.split())}'",
        edits[0].span,
        label="expected '-' here",
        help=f"write '{'-'.join(words)}'",
        path=path,
        fixes=(Fix("insert the missing '-'", tuple(edits)),),
    )


def _place(kind: type[Kind]) -> str:
    if issubclass(kind, Merge):
        form = f"write {kind.kind}[ {' | '.join(kind.names(2))} ]"
        return form if kind.kind != "MAX" else f"{form}, AMAX(over=channels), AMAX(over=places), or MPk2"
    example = _EXAMPLE.search(kind.__doc__ or "")
    if example is None:
        return "remove it"
    key = example[1].split()[0]
    place = "the section 'train'" if key in Recipe.model_fields else "the header" if key == INIT else "an argument"
    return f"write it in {place}: {example[1]}"
