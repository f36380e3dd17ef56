"""What the compiler says about a text: one Diagnostic, its fixes, and the error that carries them.

Words only: the rules that decide *when* something is said live next to what they judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum

from sewdsl.light_dataclass import dataclass
from sewdsl.source import Span
from sewdsl.terminal import escape_controls
from sewdsl.user_error import UserError


class Severity(IntEnum):
    """How bad it is; only an error makes a spec invalid."""

    NOTE = 0
    WARNING = 1
    ERROR = 2

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Edit:
    """Replace a span by a text."""

    span: Span
    text: str


@dataclass(frozen=True)
class Fix:
    """A change that solves a problem.

    Attributes:
        title: What it does, as an imperative: ``insert the missing '-'``.
        edits: Replacements in one source, not overlapping.
        safe: ``check --fix`` applies it without being asked twice: there is one reading only.
    """

    title: str
    edits: tuple[Edit, ...]
    safe: bool = True


@dataclass(frozen=True)
class Diagnostic:
    """One thing said about a text.

    Attributes:
        code: Stable name of the rule, such as ``unknown-name``; ``sewdsl explain CODE`` has a page on it.
        message: One sentence, no full stop, that names the actual values.
        span: Where, in the text as the user wrote it.
        label: A few words under the carets.
        path: The way there through repeats and blocks: ``("body", "copy 6 of 7", "SEW Block", "c32k3s1")``.
    """

    code: str
    severity: Severity
    message: str
    span: Span
    label: str = ""
    help: str = ""
    path: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()

    def __str__(self) -> str:
        span = self.span
        return f"{span.source.name}:{span.line}:{span.column}: {self.severity}[{self.code}]: {self.message}"


def sort_diagnostics(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """By place, source by source, in the order of the text; where they begin together, worse and shorter first.

    Args:
        found: In the order in which they were reported, which is that of the sources.
    """
    found = tuple(found)
    order = {name: i for i, name in enumerate(dict.fromkeys(d.span.source.name for d in found))}

    def place(d: Diagnostic) -> tuple[int, int, int, int, str]:
        return order[d.span.source.name], d.span.start, -d.severity, d.span.end, d.code

    return tuple(sorted(found, key=place))


def errors_in(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return those that make a spec invalid."""
    return tuple(d for d in found if d.severity is Severity.ERROR)


_OPTION = re.compile(
    r"(?<!fmt )--(?:(?P<table>set|limit) (?P<key>[\w.]+)(?:=(?P<item>\S*[^\s,;:.)]))?"
    r"|(?P<name>input|steps|neuron|dialect)(?: (?P<value>'[^']*'|\w+(?:\((?:[^()]|\([^()]*\))*\))?))?)"
)
"""An option of the command line, as diagnostics speak of it, but not in a whole command."""


def render_for_python(text: str) -> str:
    """Return a sentence about options with the arguments of :func:`sewdsl.load` in their place.

    >>> render_for_python("add --input CxHxW, or raise it with --limit nodes=N; leave out --dialect")
    'add input="CxHxW", or raise it with limit={"nodes": N}; leave out dialect='
    """

    def argument(found: re.Match[str]) -> str:
        table, key, item, name, value = found.group("table", "key", "item", "name", "value")
        if table == "limit":
            return f'limit={{"{key}": {item or "…"}}}'
        if table == "set":
            return f'set={{"{key}": "{item or "…"}"}}'
        return f'{name}="{value.strip(chr(39))}"' if value else f"{name}="

    return _OPTION.sub(argument, text)


class SewdslError(UserError):
    """A spec that has errors. Its text names arguments of Python, the diagnostics the options of the command line.

    Attributes:
        diagnostics: All that was found, warnings and notes included, sorted by place.
    """

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        errors = errors_in(self.diagnostics)
        lines = [f"{d}{f' (help: {d.help})' if d.help else ''}" for d in errors or self.diagnostics]
        super().__init__(escape_controls("\n".join(render_for_python(line.removeprefix("--")) for line in lines)))
