"""Diagnostics as text with carets, one a line, as JSON, and as annotations of a code host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.source import Span
from sewdsl.terminal import echo, echo_styled, escape_controls, is_terminal

MAX_DIAGNOSTICS = 200
"""Diagnostics of one spec that are printed as text."""
MAX_EXCERPT_WIDTH = 120
"""Widest excerpt of a source line."""


class DiagnosticFormat(StrEnum):
    """How diagnostics are printed."""

    TEXT = "text"
    CONCISE = "concise"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"


_COLOURS = {Severity.ERROR: "1;31", Severity.WARNING: "1;33", Severity.NOTE: "1;36"}


def _paint(text: str, code: str, *, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour and text else text


def print_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    """Print diagnostics to the standard error, in colour only on a terminal, and not more than can be read."""
    said = list(diagnostics)
    for diagnostic in said[:MAX_DIAGNOSTICS]:
        echo_styled("\n".join(format_diagnostic(diagnostic, colour=is_terminal(err=True))), err=True)
    if len(said) > MAX_DIAGNOSTICS:
        echo(f"… and {len(said) - MAX_DIAGNOSTICS:,} more; use --json for all", err=True)


def format_diagnostic(diagnostic: Diagnostic, *, colour: bool = False) -> Iterator[str]:
    """Yield a diagnostic as text: where and what, the line with carets, the way there, and help."""
    span, tone = diagnostic.span, _COLOURS[diagnostic.severity]
    name, message, label, help_ = (
        escape_controls(text, keep="")
        for text in (span.source.name, diagnostic.message, diagnostic.label, diagnostic.help)
    )
    head = _paint(f"{diagnostic.severity}[{diagnostic.code}]", tone, colour=colour)
    yield f"{name}:{span.line}:{span.column}: {head}: {_paint(message, '1', colour=colour)}"
    if span.source.text:
        excerpt, start, length = _excerpt(span)
        number = str(span.line).rjust(4)
        yield f"{number} | {excerpt}"
        carets = _paint("^" * length + (f" {label}" if label else ""), tone, colour=colour)
        yield f"{' ' * len(number)} | {' ' * start}{carets}"
    if len(diagnostic.path) > 2:  # noqa: PLR2004 -- more than 'body > this'
        yield f"{_paint('     in:', '1', colour=colour)} {' > '.join(map(_printable, diagnostic.path))}"
    if help_:
        yield f"{_paint('   help:', '1', colour=colour)} {help_}"


def _excerpt(span: Span) -> tuple[str, int, int]:
    """Return the line of a span, cut to a window around it; where the carets start, and how many there are."""
    text, start = span.source.line(span.line), span.column - 1
    length = max(1, min(span.end - span.start, len(text) - start))
    if len(text) <= MAX_EXCERPT_WIDTH:
        return _printable(text), start, length
    left = max(0, min(start - MAX_EXCERPT_WIDTH // 3, len(text) - MAX_EXCERPT_WIDTH))
    shown = _printable(text[left : left + MAX_EXCERPT_WIDTH])
    before = "…" if left else ""
    after = "…" if left + MAX_EXCERPT_WIDTH < len(text) else ""
    return f"{before}{shown}{after}", start - left + len(before), min(length, left + MAX_EXCERPT_WIDTH - start)


def _printable(text: str) -> str:
    """Return one column for each character: a blank for a tab, a replacement character for what does not print."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)


def format_one_line(diagnostic: Diagnostic) -> str:
    """Return one line."""
    return escape_controls(str(diagnostic), keep="")


def format_github_command(diagnostic: Diagnostic) -> str:
    """Return a workflow command that a code host shows at the line."""
    kind = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}[diagnostic.severity]
    span = diagnostic.span
    end_line, end_column = span.source.position(span.end)
    message = "\n".join(filter(None, (diagnostic.message, diagnostic.help)))
    for raw, escaped in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        message = message.replace(raw, escaped)
    name = span.source.name
    for raw, escaped in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), (":", "%3A"), (",", "%2C")):
        name = name.replace(raw, escaped)
    place = f"file={name},line={span.line},col={span.column},endLine={end_line},endColumn={end_column}"
    return f"::{kind} {place},title={diagnostic.code}::{message}"


def diagnostics_to_json(diagnostics: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    """Diagnostics as plain data; lines and columns count from 1, offsets from 0."""
    return [
        {
            "code": d.code,
            "severity": str(d.severity),
            "message": d.message,
            "label": d.label,
            "help": d.help,
            "path": list(d.path),
            **_place(d.span),
            "fixes": [
                {
                    "title": fix.title,
                    "safe": fix.safe,
                    "edits": [{**_place(edit.span), "text": edit.text} for edit in fix.edits],
                }
                for fix in d.fixes
            ],
        }
        for d in diagnostics
    ]


def _place(span: Span) -> dict[str, Any]:
    end_line, end_column = span.source.position(span.end)
    return {
        "file": span.source.name,
        "line": span.line,
        "column": span.column,
        "end_line": end_line,
        "end_column": end_column,
        "start": span.start,
        "end": span.end,
    }
