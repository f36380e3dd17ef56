"""Output of diagnostics: text with carets, one per line, JSON, and GitHub annotations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.source import Span
from sewdsl.terminal import echo, echo_styled, escape_controls, is_terminal

MAX_DIAGNOSTICS = 200
"""Largest number of diagnostics per spec in text output."""
MAX_EXCERPT_WIDTH = 120
"""Largest width of a source excerpt in characters."""


DiagnosticFormat = Literal["text", "concise", "json", "github"]

_COLOURS = {Severity.ERROR: "1;31", Severity.WARNING: "1;33", Severity.NOTE: "1;36"}


def _paint(text: str, code: str, *, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour and text else text


def print_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    """Print up to ``MAX_DIAGNOSTICS`` diagnostics to standard error, with colours on a terminal."""
    diagnostics = list(diagnostics)
    for diagnostic in diagnostics[:MAX_DIAGNOSTICS]:
        echo_styled("\n".join(format_diagnostic(diagnostic, colour=is_terminal(err=True))), err=True)
    if len(diagnostics) > MAX_DIAGNOSTICS:
        echo(f"… and {len(diagnostics) - MAX_DIAGNOSTICS:,} more; use --json for all", err=True)


def format_diagnostic(diagnostic: Diagnostic, *, colour: bool = False) -> Iterator[str]:
    """Yield the lines of a diagnostic: position and message, source line with carets, path, and help."""
    span, tone = diagnostic.span, _COLOURS[diagnostic.severity]
    name, message, label, help_ = (
        escape_controls(text, keep="")
        for text in (span.source.name, diagnostic.message, diagnostic.label, diagnostic.help)
    )
    head = _paint(f"{diagnostic.severity}[{diagnostic.code}]", tone, colour=colour)
    yield f"{name}:{span.line}:{span.column}: {head}: {_paint(message, '1', colour=colour)}"
    if span.source.text:
        excerpt, start, length = _excerpt(span)
        line_number = str(span.line).rjust(4)
        yield f"{line_number} | {excerpt}"
        carets = _paint("^" * length + (f" {label}" if label else ""), tone, colour=colour)
        yield f"{' ' * len(line_number)} | {' ' * start}{carets}"
    if len(diagnostic.path) > 2:  # noqa: PLR2004 -- more than 'body > this'
        yield f"{_paint('     in:', '1', colour=colour)} {' > '.join(map(_printable, diagnostic.path))}"
    if help_:
        yield f"{_paint('   help:', '1', colour=colour)} {help_}"


def _excerpt(span: Span) -> tuple[str, int, int]:
    """Return the source line of a span, cut around the span, and the start and length of the carets."""
    text, start = span.source.line(span.line), span.column - 1
    length = max(1, min(span.end - span.start, len(text) - start))
    if len(text) <= MAX_EXCERPT_WIDTH:
        return _printable(text), start, length
    # Show a third of the window before the span.
    cut = max(0, min(start - MAX_EXCERPT_WIDTH // 3, len(text) - MAX_EXCERPT_WIDTH))
    window = _printable(text[cut : cut + MAX_EXCERPT_WIDTH])
    before = "…" if cut else ""
    after = "…" if cut + MAX_EXCERPT_WIDTH < len(text) else ""
    return f"{before}{window}{after}", start - cut + len(before), min(length, cut + MAX_EXCERPT_WIDTH - start)


def _printable(text: str) -> str:
    """Replace tabs by blanks, and unprintable characters by U+FFFD, so that carets stay aligned."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)


def format_one_line(diagnostic: Diagnostic) -> str:
    """Format a diagnostic in one line."""
    return escape_controls(str(diagnostic), keep="")


def format_github_command(diagnostic: Diagnostic) -> str:
    """Format a diagnostic as a workflow command, which GitHub shows at the line."""
    kind = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}[diagnostic.severity]
    span = diagnostic.span
    end_line, end_column = span.source.position(span.end)
    message = "\n".join(filter(None, (diagnostic.message, diagnostic.help)))
    for raw, escaped in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        message = message.replace(raw, escaped)
    name = span.source.name
    # Properties of a command need two more escapes than its message.
    for raw, escaped in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), (":", "%3A"), (",", "%2C")):
        name = name.replace(raw, escaped)
    position = f"file={name},line={span.line},col={span.column},endLine={end_line},endColumn={end_column}"
    return f"::{kind} {position},title={diagnostic.code}::{message}"


def diagnostics_to_json(diagnostics: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    """Return diagnostics as plain data. Lines and columns count from 1, offsets from 0."""
    return [
        {
            "code": d.code,
            "severity": str(d.severity),
            "message": d.message,
            "label": d.label,
            "help": d.help,
            "path": list(d.path),
            **_span_to_json(d.span),
            "fixes": [
                {
                    "title": fix.title,
                    "safe": fix.safe,
                    "edits": [{**_span_to_json(edit.span), "text": edit.text} for edit in fix.edits],
                }
                for fix in d.fixes
            ],
        }
        for d in diagnostics
    ]


def _span_to_json(span: Span) -> dict[str, Any]:
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
