"""What an unknown name may mean: one with another spelling, or what other libraries and papers call such a layer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sewdsl.elaborate import compact
from sewdsl.elaborate.suggestions import nearest
from sewdsl.ir.kind import Kind
from sewdsl.syntax.tree import BlockDefinition

LONGEST = 200
"""Characters of a word of which it is asked what it may mean."""
ELSEWHERE = {
    "convolution": "c",
    "convlayer": "c",
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
class Meant:
    """What a name may mean.

    Attributes:
        text: What would stand in its place; empty where it is not known with its numbers.
        help: The same in a sentence.
    """

    text: str
    help: str


def meant(text: str, layers: Mapping[str, type[Kind]], blocks: Mapping[str, BlockDefinition]) -> Meant | None:
    """What a name may mean; None: nothing comes to mind.

    Args:
        text: The name without white space, with what stands right behind it: ``Conv64``.
        layers: The kinds that can stand in a sequence, by name.
        blocks: The blocks that can be called, by name without white space.
    """
    if len(text) > LONGEST:
        return None
    titles = {key: " ".join(w.text for w in block.name.parts if hasattr(w, "text")) for key, block in blocks.items()}
    if RESIDUAL.match(text):
        several = ", ".join(title for title in titles.values() if title.endswith("Block"))
        return Meant("", f"the blocks here are {several}: write e.g. SEW Block (c64)")
    if VOTING.match(text):
        return Meant("", "the voting layer is APk10 behind a layer of 10 neurons for each class")
    match = _HEAD.fullmatch(text)
    head, rest = (match[1].casefold(), match[3] or "") if match else ("", "")
    named = _named(head, layers)
    written = _written(named, rest, layers) or _written_here(text, layers)
    near = written or nearest(text, {*layers, *titles, "SN", "id"})
    if near is not None:
        said = titles.get(near, near)
        return Meant(said, f"did you mean '{said}'?")
    return _like(named, layers) if named else None


def _named(head: str, layers: Mapping[str, type[Kind]]) -> str | None:
    """The kind of a name in any letters: its own, that of its class, or another library's."""
    spoken = {kind.__name__.casefold(): name for name, kind in layers.items()}
    spoken |= {kind.key.replace("_", ""): name for name, kind in layers.items()}
    spoken |= {name.casefold(): name for name in layers}
    return (ELSEWHERE | spoken).get(head.replace("_", ""))


def _written(name: str | None, rest: str, layers: Mapping[str, type[Kind]]) -> str | None:
    """The kind with the numbers behind it, if they are whole: with its first letter too, ``APk2`` of ``AvgPool2``."""
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
    return compact.complete(text[len(name) :], layers[name])


def _like(name: str, layers: Mapping[str, type[Kind]]) -> Meant:
    """How the kind is written, where the name has other numbers than it needs, or none."""
    examples = _EXAMPLE.search(layers[name].__doc__ or "")
    return Meant("", f"it is written like {examples[1]}" if examples else f"its name is {name}")
