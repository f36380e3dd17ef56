"""``allow`` lines: warnings that a file does not want to hear, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence

from sewdsl.diagnostics import Diagnostics, Severity
from sewdsl.elaborate.suggestions import advice
from sewdsl.syntax.tree import Allow


def apply_allow_lines(diagnostics: Diagnostics, allowed: Sequence[Allow], *, whole: bool) -> list[Allow]:
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
