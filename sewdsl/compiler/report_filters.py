"""Filters of a report: what ``allow`` lines allow, and figures that hold only without an override."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sewdsl.checks.expectation import compute_quantity, is_measured
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate.assembly import SECTIONS
from sewdsl.elaborate.overrides import Override
from sewdsl.elaborate.suggestions import advice
from sewdsl.ir.network import Network
from sewdsl.reporter import Reported
from sewdsl.source import Span
from sewdsl.syntax.tree import Allow


def apply_allow_lines(
    said: Sequence[Diagnostic], allowed: Sequence[Allow], *, whole: bool
) -> Reported[tuple[Allow, ...]]:
    """What was said without the warnings and notes that are allowed, but with complaints of lines that allow nothing.

    Args:
        said: All that was said; errors stay.
        whole: Whether all was said that could be: only then is it known that a line allows nothing.

    Returns:
        The lines that took something back.
    """
    lines = {line.code.text for line in allowed}
    kept = [d for d in said if d.severity is Severity.ERROR or d.code not in lines]
    allowable = {d.code for d in said if d.severity is not Severity.ERROR}
    used = tuple(line for line in allowed if line.code.text in allowable)
    return Reported(used, (*kept, *_check_lines(kept, allowable, allowed, whole=whole)))


def _check_lines(
    kept: Sequence[Diagnostic], allowable: set[str], allowed: Sequence[Allow], *, whole: bool
) -> Iterator[Diagnostic]:
    """Complains of lines that are written twice, give no reason, or allow nothing."""
    lines, errors = {line.code.text for line in allowed}, {d.code for d in kept}
    seen: set[str] = set()
    for line in allowed:
        code = line.code.text
        if code in seen:
            message = f"'allow {code}' is written twice"
            yield Diagnostic("duplicate-setting", Severity.ERROR, message, line.span, help="keep one")
        seen.add(code)
        if not line.reason.text.strip():
            message, hint = f"'allow {code}' gives no reason", 'say why in quotes, e.g. "as in Fig. 6"'
            yield Diagnostic("invalid-argument", Severity.ERROR, message, line.reason.span, help=hint)
        elif whole and code not in allowable:
            near = advice(code, sorted(allowable - lines), line.code.span, "take the line out")
            if code in errors:
                near = {"help": "an error cannot be allowed; fix it", "fixes": ()}
            message = f"no warning '{code}' is given here"
            yield Diagnostic("unused-allow", Severity.WARNING, message, line.span, **near)


STALE_FIGURE_CODES = ("expectation-failed", "claim-differs")
"""What is said of a figure that is not the network's."""


def failed_expectations(said: Iterable[Diagnostic]) -> set[Span]:
    """The lines whose figures are not those of the network."""
    return {one.span for one in said if one.code in STALE_FIGURE_CODES}


def claims_of_another_network(network: Network, changes: Sequence[Override]) -> set[Span]:
    """The lines about what has to be measured, if the changes make another network than the one that was measured."""
    changed = any(change.key.split(".")[0] not in SECTIONS for change in changes)
    return {one.span for one in network.expectations if is_measured(network, one)} if changed else set()


def downgrade_to_notes(
    said: Iterable[Diagnostic], lines: set[Span], network: Network, changes: Sequence[Override]
) -> Iterator[Diagnostic]:
    """What was said, with notes in place of complaints about figures that hold without the overrides.

    Args:
        lines: Those of figures that hold for the file as written, and not with the changes.
    """
    yield from (one for one in said if not (one.span in lines and one.code in STALE_FIGURE_CODES))
    put = [change.typed for change in changes if change.key.split(".")[0] not in SECTIONS]
    for figure in network.expectations:
        if figure.span in lines and is_measured(network, figure):
            message = f"{figure.quantity}: {figure.value} is claimed of the file as written, not with {' '.join(put)}"
            yield Diagnostic("figure-overridden", Severity.NOTE, message, figure.span)
        elif figure.span in lines:
            value = compute_quantity(network, figure.quantity)
            shown = f"{value:,}" if isinstance(value, int) else value
            yield Diagnostic(
                "figure-overridden",
                Severity.NOTE,
                f"{figure.quantity}: {figure.value} holds for the file as written; with {' '.join(put)} it is {shown}",
                figure.span,
                label=f"computed: {shown}",
            )
