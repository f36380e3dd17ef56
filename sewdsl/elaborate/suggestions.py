"""What the user may have meant: near names, and words that are two names with a lost hyphen."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that differs in case only, else the most similar one, else None.

    Args:
        name: As written.
        known: All that there are.
        cutoff: How similar it must be, from 0 to 1, as :mod:`difflib` says it.
    """
    known = sorted(known)
    folded = {candidate.casefold(): candidate for candidate in known}
    if name.casefold() in folded:
        return folded[name.casefold()]
    close = get_close_matches(name, known, n=1, cutoff=cutoff)
    return close[0] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'PLIF'?``, or nothing where nothing is near."""
    near = nearest(name, known)
    return f"did you mean '{near}'?" if near else ""
