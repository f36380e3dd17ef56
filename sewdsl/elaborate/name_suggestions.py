"""What an unknown name may mean: one with another spelling, or what other libraries and papers call such a layer."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cached_property

from sewdsl.elaborate import compact_arguments
from sewdsl.elaborate.budget import Budget
from sewdsl.elaborate.suggestions import MAX_LENGTH, Names, listed
from sewdsl.ir.kind import Kind
from sewdsl.light_dataclass import dataclass
from sewdsl.syntax.tree import BlockDefinition, Word

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
        help: The same in a sentence.
    """

    text: str
    help: str


class Meanings:
    """What unknown names may mean, as long as not too many were compared.

    Args:
        layers: The kinds that can be in a sequence, by name.
        blocks: The blocks that can be called, by name without white space.
    """

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
            return NameSuggestion("", f"the blocks here are {self._residual}: write e.g. SEW Block (c64)")
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
    def _residual(self) -> str:
        return listed(title for title in self._titles.values() if title.endswith("Block"))

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
