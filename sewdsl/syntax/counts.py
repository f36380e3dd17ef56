"""How often a repeat may say that its body comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sewdsl.syntax.limits import Limits, raise_limit_help
from sewdsl.syntax.tree import Interpolation, Number

if TYPE_CHECKING:
    from sewdsl.diagnostics import Diagnostics


def check_count(count: Number | Interpolation, diagnostics: Diagnostics, limits: Limits) -> Number | Interpolation:
    """The count itself, or 1 where it is reported as zero or too large; a computed one is known only in a call."""
    if isinstance(count, Interpolation) or 1 <= count.value <= limits.repeat:
        return count
    if count.value:
        diagnostics.report(
            "repeat-too-large",
            f"{count.text} copies are over the limit of {limits.repeat}",
            count.span,
            label="too many copies",
            help=raise_limit_help("repeat"),
        )
    else:
        diagnostics.report(
            "zero-count",
            "a repeat of 0 copies stands for nothing",
            count.span,
            label="must be 1 or more",
            help="write the number of copies, or leave the repeat out",
        )
    return Number("1", span=count.span)
