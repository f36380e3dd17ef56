"""What the user may have intended: near names."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TypedDict

from sewdsl.diagnostics import Edit, Fix
from sewdsl.limits import Budget
from sewdsl.source import Span

MAX_LENGTH = 200
"""Characters of a name to which a similar one is looked for."""
MAX_LISTED = 40
"""Names that a message lists."""


class Names:
    """Names of which one may be intended."""

    def __init__(self, known: Iterable[str]) -> None:
        self._known = sorted(set(known))
        self._folded = {_folded(name): name for name in self._known}

    def nearest(self, name: str, cutoff: float = 0.6, budget: Budget | None = None) -> str | None:
        """The known name that differs in case, or in ``_`` for ``-``, only; else the most similar one, else None.

        Args:
            cutoff: How similar it must be, from 0 to 1: twice the characters that both have in the same order, by the
                length of both.
            budget: Where the comparisons are counted; nothing is compared once it is spent.
        """
        same = self._folded.get(_folded(name))
        if same is not None:
            return same
        if len(name) > MAX_LENGTH or (
            budget is not None and not budget.spend(len(self._known) * (1 + len(name) // 16))
        ):
            return None
        places: dict[str, int] = {}  # where each character of the name is, as bits
        for place, character in enumerate(name):
            places[character] = places.get(character, 0) | 1 << place
        best, found = cutoff, None
        for candidate in self._known:
            total = len(name) + len(candidate)
            if 2 * min(len(name), len(candidate)) < best * total:
                continue
            similarity = 2 * _common(places, len(name), candidate) / total
            if similarity >= best:
                best, found = similarity, candidate
        return found


def _folded(name: str) -> str:
    """A name without what is easily confused."""
    return name.casefold().replace("_", "-")


def _common(places: dict[str, int], length: int, other: str) -> int:
    """The length of the longest common subsequence of a text and another (Hyyrö 2004), in steps of the other's length.

    Args:
        places: Where each character of the text is, as bits.
    """
    everywhere = (1 << length) - 1
    free = everywhere
    for character in other:
        here = free & places.get(character, 0)
        free = (free + here | free - here) & everywhere
    return length - free.bit_count()


def nearest_name(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that is nearly the same, or None; see :meth:`Names.nearest`."""
    return Names(known).nearest(name, cutoff)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'PLIF'?``, or nothing where nothing is near."""
    near = nearest_name(name, known)
    return f"did you mean '{near}'?" if near else ""


class Advice(TypedDict):
    """What a diagnostic says of a name that is not known: its ``help`` and its ``fixes``."""

    help: str
    fixes: tuple[Fix, ...]


NO_ADVICE: Advice = {"help": "", "fixes": ()}


def advice(name: str, known: Iterable[str], span: Span, otherwise: str = "") -> Advice:
    """Proposes the near name, and a fix that writes it, where there is one.

    Args:
        span: What the diagnostic is about. There is no fix where the name is not in it, as on the command line, or in
            more than one place of it.
    """
    near = nearest_name(name, known)
    if near is None:
        return {"help": otherwise, "fixes": ()}
    place = span.text.find(name) if span.text.startswith(name) or span.text.count(name) == 1 else -1
    fixes = (rename(span.part(place, place + len(name)), near),) if name and place >= 0 else ()
    return {"help": f"did you mean '{near}'?", "fixes": fixes}


def rename(span: Span, name: str) -> Fix:
    """The fix that writes another name, which may be intended."""
    return Fix(f"write '{name}'", (Edit(span, name),), safe=False)


def listed(names: Iterable[str]) -> str:
    """Names one after the other; of very many, only the first."""
    shown = [*islice(names, MAX_LISTED + 1)]
    return ", ".join([*shown[:MAX_LISTED], "…"] if len(shown) > MAX_LISTED else shown)
