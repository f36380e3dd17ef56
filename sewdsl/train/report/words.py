"""Numbers and names as the page says them."""

from __future__ import annotations

from collections.abc import Mapping

from sewdsl.train.report.markup import Markup, join

MAX_NAMES = 5
"""More are counted, not named."""
MIN_SHOWN_SHARE = 0.0005
"""Shares below this one would be rounded to nothing."""


def format_share(part: float) -> str:
    """A share to a tenth of a percent; ``none`` and ``all`` where it is exactly that."""
    if part in {0, 1}:
        return "all" if part else "none"
    if part < MIN_SHOWN_SHARE:
        return "<0.1%"
    return ">99.9%" if part > 1 - MIN_SHOWN_SHARE else f"{part:.1%}"


def breakable(name: str) -> Markup:
    """A node's name, which may go on in the next line after each dot."""
    first, *rest = name.split(".")
    return join(first, *(join(".", Markup("<wbr>"), part) for part in rest))


def join_names(said: Mapping[str, str]) -> str:
    """``plif1 (4 of 32), plif2 (3 of 32) and 12 more layers``."""
    first = [f"{name} ({what})" for name, what in list(said.items())[:MAX_NAMES]]
    more = len(said) - len(first)
    return ", ".join(first) + (f" and {more} more layer{'s' if more > 1 else ''}" if more else "")
