"""Suggestions of similar names."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TypedDict

from sewdsl.diagnostics import Edit, Fix
from sewdsl.limits import Budget
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
    """Return a name in lower case with ``-`` for ``_``."""
    return name.casefold().replace("_", "-")


def _common(positions: dict[str, int], length: int, other: str) -> int:
    """Return the length of the longest common subsequence of a text and another one (Hyyrö 2004).

    Args:
        positions: Bit mask of the positions of each character of the text.
        length: Length of the text.
    """
    mask = (1 << length) - 1
    free = mask
    for character in other:
        here = free & positions.get(character, 0)
        free = (free + here | free - here) & mask
    return length - free.bit_count()


def nearest_name(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the most similar known name, or None (see :meth:`Names.nearest`)."""
    return Names(known).nearest(name, cutoff)


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
        span: Span of the diagnostic.
        otherwise: Help without a similar name.
    """
    near = nearest_name(name, known)
    if near is None:
        return {"help": otherwise, "fixes": ()}
    # There is no fix if the name is not in the span, as on the command line, or occurs several times.
    offset = span.text.find(name) if span.text.startswith(name) or span.text.count(name) == 1 else -1
    fixes = (rename(span.part(offset, offset + len(name)), near),) if name and offset >= 0 else ()
    return {"help": f"did you mean '{near}'?", "fixes": fixes}


def rename(span: Span, name: str) -> Fix:
    """Return an unsafe fix that writes another name."""
    return Fix(f"write '{name}'", (Edit(span, name),), safe=False)


def listed(names: Iterable[str]) -> str:
    """Join names with commas, at most :data:`MAX_LISTED` of them."""
    shown = [*islice(names, MAX_LISTED + 1)]
    return ", ".join([*shown[:MAX_LISTED], "…"] if len(shown) > MAX_LISTED else shown)
