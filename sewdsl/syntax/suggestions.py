"""Suggestions of similar names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import cache
from itertools import islice
from typing import Any, Literal, TypedDict

from sewdsl.diagnostics import Edit, Fix
from sewdsl.limits import Budget
from sewdsl.resources import resource_folder
from sewdsl.source import Span

MAX_LENGTH = 200
"""Maximum length of a name for which similar names are searched."""
MAX_LISTED = 40
"""Maximum number of names listed in a message."""


class Names:
    """Known names with a similarity search."""

    def __init__(self, known: Iterable[str]) -> None:
        self._known = sorted(set(known))
        self._folded = {_folded(name): name for name in self._known}

    def nearest(self, name: str, cutoff: float = 0.6, budget: Budget | None = None) -> str | None:
        """Return the most similar known name, or None. Names that only differ in case or in ``_`` come first.

        Args:
            cutoff: Minimum similarity from 0 to 1: twice the length of the longest common subsequence, divided by the
                total length.
            budget: Work budget of the search. If it is spent, the result is None.
        """
        same = self._folded.get(_folded(name))
        if same is not None:
            return same
        if len(name) > MAX_LENGTH or (
            budget is not None and not budget.spend(len(self._known) * (1 + len(name) // 16))
        ):
            return None
        positions: dict[str, int] = {}  # bit mask of the positions of each character
        for position, character in enumerate(name):
            positions[character] = positions.get(character, 0) | 1 << position
        best, nearest = cutoff, None
        for candidate in self._known:
            total = len(name) + len(candidate)
            # The lengths alone exclude most candidates.
            if 2 * min(len(name), len(candidate)) < best * total:
                continue
            similarity = 2 * _common(positions, len(name), candidate) / total
            if similarity >= best:
                best, nearest = similarity, candidate
        return nearest


def _folded(name: str) -> str:
    return name.casefold().replace("_", "-")


def _common(positions: dict[str, int], length: int, other: str) -> int:
    """Return the length of the longest common subsequence, from the bit masks of positions in one text (Hyyrö 2004)."""
    mask = (1 << length) - 1
    free = mask
    for character in other:
        here = free & positions.get(character, 0)
        free = (free + here | free - here) & mask
    return length - free.bit_count()


def nearest_name(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the most similar known name, or None (see :meth:`Names.nearest`)."""
    return Names(known).nearest(name, cutoff)


def class_words(name: str) -> tuple[str, ...]:
    """Return a name of another library in lower case without ``_``, as it is and without the suffix of its family."""
    word = name.casefold().replace("_", "")
    return (word, _FAMILY_SUFFIX.sub("", word))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'PLIF'?``, or an empty string without a similar name."""
    near = nearest_name(name, known)
    return f"did you mean '{near}'?" if near else ""


class Advice(TypedDict):
    """Help and fixes of a diagnostic for an unknown name."""

    help: str
    fixes: tuple[Fix, ...]


NO_ADVICE: Advice = {"help": "", "fixes": ()}


def advice(name: str, known: Iterable[str], span: Span, otherwise: str = "") -> Advice:
    """Suggest a similar name, with a fix if possible.

    Args:
        otherwise: Help without a similar name.
    """
    near = nearest_name(name, known)
    return {"help": otherwise, "fixes": ()} if near is None else suggest(name, near, span)


def suggest(name: str, near: str, span: Span) -> Advice:
    """Suggest another name, with a fix if possible."""
    # There is no fix if the name is not in the span, as on the command line, or occurs several times.
    offset = span.text.find(name) if span.text.startswith(name) or span.text.count(name) == 1 else -1
    fixes = (rename(span.part(offset, offset + len(name)), near),) if name and offset >= 0 else ()
    return {"help": question(name, near), "fixes": fixes}


def question(name: str, near: str) -> str:
    """Return ``did you mean 'LIF'?``, with the page about the class names of SpikingJelly if the name is one."""
    return f"did you mean '{near}'?{f' {SPIKINGJELLY}' if name.endswith('Node') else ''}"


def advise_on_kind(name: str, known: Collection[str], span: Span) -> Advice:
    """Suggest the kind that a name in another library means or that is similar, or list the known kinds."""
    names = Names(known)
    near = next(filter({*known}.__contains__, map(names_elsewhere().get, class_words(name))), None)
    absent = find_absent(name) if near is None and names.nearest(name, 1) is None else None
    if absent is not None:
        return {"help": f"the language has no {absent[0]}: {absent[1]}", "fixes": ()}
    # In a short name, two swapped letters make a larger difference.
    similar = min(MIN_KIND_SIMILARITY, (len(name) - 1) / max(len(name), 1))
    near = near or names.nearest(_FAMILY_SUFFIX.sub("", name), 1) or names.nearest(name, similar)
    if near is not None:
        return suggest(name, near, span)
    return {"help": f"expected one of: {', '.join(known)}; otherwise, {CUSTOM}", "fixes": ()}


def rename(span: Span, name: str) -> Fix:
    """Return an unsafe fix that writes another name."""
    return Fix(f"write '{name}'", (Edit(span, name),), safe=False)


def listed(names: Iterable[str]) -> str:
    """Join names with commas, at most :data:`MAX_LISTED` of them."""
    shown = [*islice(names, MAX_LISTED + 1)]
    return ", ".join([*shown[:MAX_LISTED], "…"] if len(shown) > MAX_LISTED else shown)


CUSTOM = "define it in Python, in a file for --plugin, as in docs/own-code.md"
"""Help for a kind without a replacement in the language."""
SPIKINGJELLY = "docs/spikingjelly.md translates the names of SpikingJelly's classes"
MIN_KIND_SIMILARITY = 0.75
"""Minimum similarity of kinds, from 0 to 1. Classes with another meaning are less similar: ``RandomRotation``."""
_FAMILY_SUFFIX = re.compile(r"(?<=.)(?:node|neuron|cell|loss|lr)$", re.IGNORECASE)


@cache
def names_elsewhere(table: Literal["names", "settings"] = "names") -> dict[str, str]:
    """Return kinds, or keys of settings, by the names of other libraries that are not similar."""
    return {name: own for own, names in _elsewhere()[table].items() for name in names}


def help_for_line(word: str) -> str:
    """Return the help for the first word of a line that has another form, or an empty string."""
    return str(_elsewhere()["lines"].get(word, ""))


@cache
def absent_kinds() -> dict[str, tuple[str, str]]:
    """Return the pattern of the names elsewhere and the help of kinds that the language does not have."""
    return {meaning: (entry["names"], entry["help"]) for meaning, entry in _elsewhere()["absent"].items()}


@cache
def _elsewhere() -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 -- takes 15 ms, and only messages about names need it

    return tomllib.loads((resource_folder("grammars") / "elsewhere.toml").read_text(encoding="utf-8"))


def find_absent(name: str) -> tuple[str, str] | None:
    """Return the kind that a name means and the help for it, or None for other names."""
    # Papers add numbers and the kind of layer: DCNv3, DeformConv2d.
    lower = name.replace(" ", "").lower()
    words = (lower, re.sub(r"(v?\d.*|_?(layer|conv|pool|attention)\w*)$", "", lower))
    matches = (
        (meaning, hint)
        for meaning, (pattern, hint) in absent_kinds().items()
        if any(re.fullmatch(pattern, word) for word in words)
    )
    return next(matches, None)
