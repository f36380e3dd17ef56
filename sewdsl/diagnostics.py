"""Diagnostics of the compiler, their fixes, and the exception that carries them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum

from sewdsl.light_dataclass import dataclass
from sewdsl.source import Span
from sewdsl.terminal import escape_controls
from sewdsl.user_error import UserError


class Severity(IntEnum):
    """Severity of a diagnostic. Only an error makes a spec invalid."""

    NOTE = 0
    WARNING = 1
    ERROR = 2

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Edit:
    """Replacement of a span by a text."""

    span: Span
    text: str


@dataclass(frozen=True)
class Fix:
    """Edits that fix the problem of a diagnostic."""

    title: str
    """Description as an imperative, e.g. ``insert the missing '-'``."""
    edits: tuple[Edit, ...]
    """Replacements in one source that do not overlap."""
    safe: bool = True
    """Whether ``check --fix`` applies the fix. Other fixes may change the meaning and need ``--unsafe-fixes``."""


@dataclass(frozen=True)
class Diagnostic:
    """Error, warning or note about a source."""

    code: str
    """Stable name of the rule, e.g. ``unknown-name``. ``sewdsl explain CODE`` prints its page."""
    message: str
    """Sentence with the actual values, without a full stop."""
    span: Span
    """Position in the text of the user."""
    label: str = ""
    """Short text under the carets."""
    help: str = ""
    path: tuple[str, ...] = ()
    """Repeats and blocks around the span, e.g. ``("body", "copy 6 of 7", "SEW Block", "c32k3s1")``."""
    fixes: tuple[Fix, ...] = ()
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        span = self.span
        return f"{span.source.name}:{span.line}:{span.column}: {self.severity}[{self.code}]: {self.message}"


def sort_diagnostics(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sort diagnostics, in the order of their sources, by source, position, severity (errors first) and length."""
    diagnostics = tuple(diagnostics)
    source_order = {name: i for i, name in enumerate(dict.fromkeys(d.span.source.name for d in diagnostics))}

    def sort_key(d: Diagnostic) -> tuple[int, int, int, int, str]:
        return source_order[d.span.source.name], d.span.start, -d.severity, d.span.end, d.code

    return tuple(sorted(diagnostics, key=sort_key))


def errors_in(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return the errors among the diagnostics."""
    return tuple(d for d in diagnostics if d.severity is Severity.ERROR)


_OPTION = re.compile(
    r"(?<!fmt )--(?:(?P<table>set|limit) (?P<key>[\w.]+)(?:=(?P<item>\S*[^\s,;:.)]))?"
    r"|(?P<name>input|steps|neuron|dialect)(?: (?P<value>'[^']*'|\w+(?:\((?:[^()]|\([^()]*\))*\))?))?)"
)
"""Command-line option in the text of a diagnostic, but not in a complete command."""


def render_for_python(text: str) -> str:
    """Replace command-line options in a sentence by the arguments of :func:`sewdsl.load`.

    >>> render_for_python("add --input CxHxW, or raise it with --limit nodes=N; leave out --dialect")
    'add input="CxHxW", or raise it with limit={"nodes": N}; leave out dialect='
    """

    def argument(match: re.Match[str]) -> str:
        table, key, item, name, value = match.group("table", "key", "item", "name", "value")
        if table == "limit":
            return f'limit={{"{key}": {item or "…"}}}'
        if table == "set":
            return f'set={{"{key}": "{item or "…"}"}}'
        return f'{name}="{value.strip(chr(39))}"' if value else f"{name}="

    return _OPTION.sub(argument, text)


class SewdslError(UserError):
    """A spec has errors.

    The text of the exception names Python arguments. The texts of its diagnostics name command-line options.

    Attributes:
        diagnostics: All diagnostics, including warnings and notes, sorted by position.
    """

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        errors = errors_in(self.diagnostics)
        lines = [f"{d}{f' (help: {d.help})' if d.help else ''}" for d in errors or self.diagnostics]
        super().__init__(escape_controls("\n".join(render_for_python(line.removeprefix("--")) for line in lines)))
