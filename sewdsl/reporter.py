"""Diagnostic reporter of a compilation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import field, replace
from typing import Generic, TypedDict, TypeVar, Unpack

from sewdsl.diagnostics import Diagnostic, Fix, Severity, errors_in, sort_diagnostics
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import DEFAULT_LIMITS, Limits
from sewdsl.source import Span

Value_co = TypeVar("Value_co", covariant=True)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Reported(Generic[Value_co]):
    """Result of a function with its diagnostics."""

    value: Value_co
    """Result. The function defines the result if there are errors."""
    diagnostics: tuple[Diagnostic, ...] = ()
    """Diagnostics in the order of their reports, without duplicates."""


class Details(TypedDict, total=False):
    """Optional fields of a :class:`Diagnostic`."""

    label: str
    help: str
    path: tuple[str, ...]
    fixes: tuple[Fix, ...]
    severity: Severity


class InvalidText(Exception):
    """A part of a text is invalid. The diagnostic is reported already."""


class NestingError(RecursionError):
    """A text is nested too deeply for Python's recursion limit. The diagnostics are those reported before."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        super().__init__()
        self.diagnostics = tuple(diagnostics)


@dataclass
class Reporter:
    """Collector of diagnostics without duplicates."""

    limits: Limits = DEFAULT_LIMITS
    diagnostics: list[Diagnostic] = field(default_factory=list)
    """Diagnostics in the order of their reports."""
    site: Span | None = None
    """Call of a library block in the text of the user, during its expansion. Diagnostics of other sources are reported
    at this span, because the user can only change the call."""
    _seen: set[tuple[str, str, str, int, int]] = field(init=False)

    def __post_init__(self) -> None:
        self._seen = set(map(_key, self.diagnostics))

    def report(self, code: str, message: str, span: Span, **details: Unpack[Details]) -> None:
        """Add a diagnostic, unless it is a duplicate."""
        self.add(Diagnostic(code, message, span, **details))

    def refuse(self, code: str, message: str, span: Span, **details: Unpack[Details]) -> InvalidText:
        """Add an error, and return an exception for the caller to raise."""
        self.report(code, message, span, **details)
        return InvalidText()

    def add(self, diagnostic: Diagnostic) -> None:
        """Add a diagnostic, unless it is a duplicate."""
        if self.site is not None and diagnostic.span.source != self.site.source:
            diagnostic = replace(diagnostic, span=self.site)
        key = _key(diagnostic)
        if key not in self._seen:
            self._seen.add(key)
            self.diagnostics.append(diagnostic)

    @contextmanager
    def at(self, site: Span) -> Iterator[None]:
        """Report diagnostics of other sources at a call of a shipped block in the user's text, within a context."""
        self.site = site
        try:
            yield
        finally:
            self.site = None

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Add several diagnostics."""
        for diagnostic in diagnostics:
            self.add(diagnostic)

    def take(self, reported: Reported[Result]) -> Result:
        """Add the diagnostics of a result, and return its value."""
        self.extend(reported.diagnostics)
        return reported.value

    def take_back(self, length: int) -> None:
        """Remove all diagnostics after the first ``length``."""
        self._seen.difference_update(map(_key, self.diagnostics[length:]))
        del self.diagnostics[length:]

    def follow(self, make: Callable[[], Result]) -> Reported[Result]:
        """Call a function that reports here, and return its result with all diagnostics, or raise NestingError."""
        try:
            return Reported(make(), tuple(self.diagnostics))
        except RecursionError as error:
            # Another reporter raised the error: its diagnostics would be lost.
            if isinstance(error, NestingError):
                self.extend(error.diagnostics)
            raise NestingError(self.diagnostics) from error

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.sorted)

    def __len__(self) -> int:
        return len(self.diagnostics)

    @property
    def sorted(self) -> tuple[Diagnostic, ...]:
        """Diagnostics sorted by :func:`sewdsl.diagnostics.sort_diagnostics`."""
        return sort_diagnostics(self.diagnostics)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """Errors, sorted."""
        return errors_in(self.sorted)


def _key(diagnostic: Diagnostic) -> tuple[str, str, str, int, int]:
    span = diagnostic.span
    return diagnostic.code, diagnostic.message, span.source.name, span.start, span.end
