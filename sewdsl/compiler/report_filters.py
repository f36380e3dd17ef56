"""Filters over the finished report: ``allow`` lines, and expectations of a file that an option has changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sewdsl.checks.expectation import compute_quantity
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate import Assembly, Override
from sewdsl.elaborate.assembly import SECTIONS
from sewdsl.elaborate.suggestions import advice
from sewdsl.ir.network import Network
from sewdsl.reporter import Reporter
from sewdsl.source import Span
from sewdsl.syntax.tree import Allow


def apply_allow_lines(diagnostics: Reporter, allowed: Sequence[Allow], *, whole: bool) -> list[Allow]:
    """Takes away the warnings and notes that are allowed, and complains of lines that allow nothing.

    Args:
        diagnostics: What was said; errors stay.
        allowed: The lines.
        whole: Whether all was said that could be: only then is it known that a line allows nothing.

    Returns:
        The lines that took something back.
    """
    codes = {line.code.text for line in allowed}
    kept = [d for d in diagnostics.found if d.severity is Severity.ERROR or d.code not in codes]
    said = {d.code for d in diagnostics.found if d.severity is not Severity.ERROR}
    errors = {d.code for d in kept}
    diagnostics.found[:] = kept
    seen: set[str] = set()
    for line in allowed:
        code = line.code.text
        if code in seen:
            diagnostics.report("duplicate-setting", f"'allow {code}' is written twice", line.span, help="keep one")
        seen.add(code)
        if not line.reason.text.strip():
            message = f"'allow {code}' gives no reason"
            hint = 'say why in quotes, e.g. "as in Fig. 6"'
            diagnostics.report("invalid-argument", message, line.reason.span, help=hint)
        elif whole and code not in said:
            near = advice(code, sorted(said - codes), line.code.span, "take the line out")
            if code in errors:
                near = {"help": "an error cannot be allowed; fix it", "fixes": ()}
            message = f"no warning '{code}' is given here"
            diagnostics.report("unused-allow", message, line.span, severity=Severity.WARNING, **near)
    return [line for line in allowed if line.code.text in said]


STALE_FIGURE_CODES = ("expectation-failed", "claim-differs")
"""What is said of a figure that is not the network's."""


def failed_expectations(diagnostics: Iterable[Diagnostic]) -> set[Span]:
    """The lines whose figures are not those of the network."""
    return {said.span for said in diagnostics if said.code in STALE_FIGURE_CODES}


def downgrade_to_notes(
    lines: set[Span], network: Network, assembly: Assembly, changes: Sequence[Override], diagnostics: Reporter
) -> Network:
    """Notes of figures that they are no longer this network's, which is no error.

    Args:
        lines: Those of figures that hold for the file as written, and not with the changes.
        network: With the changes.
        assembly: Loses the lines.
        changes: What the user has put over the file.
        diagnostics: Has what was said of the lines, in place of which there is a note.

    Returns:
        The network without these figures.
    """
    diagnostics.found[:] = [d for d in diagnostics.found if not (d.span in lines and d.code in STALE_FIGURE_CODES)]
    put = [change.typed for change in changes if change.key.split(".")[0] not in SECTIONS]
    for figure in network.expectations:
        if figure.span in lines:
            value = compute_quantity(network, figure.quantity)
            shown = f"{value:,}" if isinstance(value, int) else value
            diagnostics.report(
                "figure-overridden",
                f"{figure.quantity}: {figure.value} holds for the file as written; with {' '.join(put)} it is {shown}",
                figure.span,
                severity=Severity.NOTE,
                label=f"computed: {shown}",
            )
    assembly.figures = [figure for figure in assembly.figures if figure.span not in lines]
    return replace(network, expectations=tuple(f for f in network.expectations if f.span not in lines))
