"""Where what is wrong with a text is reported: what was said so far, the limits in force, and the call site."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import field, replace
from typing import Generic, TypeVar

from sewdsl.diagnostics import Diagnostic, Fix, Severity, errors_in, sort_diagnostics
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import DEFAULT_LIMITS, Limits
from sewdsl.source import Span

Value_co = TypeVar("Value_co", covariant=True)
Result = TypeVar("Result")


@dataclass(frozen=True)
class Reported(Generic[Value_co]):
    """What a function makes of a text, and what it has to say about it.

    Attributes:
        value: What it makes; what that is where something is wrong, the function says.
        diagnostics: In the order in which they were reported, each once.
    """

    value: Value_co
    diagnostics: tuple[Diagnostic, ...] = ()


class InvalidText(Exception):
    """Raised where a part of a text has no meaning, which is reported already: nothing follows from it."""


class NestingError(RecursionError):
    """Raised where a text nests deeper than functions can call each other.

    Attributes:
        diagnostics: What was said of the text before.
    """

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        super().__init__()
        self.diagnostics = tuple(diagnostics)


@dataclass
class Reporter:
    """Collects what is said of a text, each thing once.

    Attributes:
        limits: How much the text may ask for.
        found: What was said, in the order in which it was reported.
        site: While a block of the shipped library is expanded, the call in the user's text: what is wrong inside
            is said there, since it is the call that the user can change.
    """

    limits: Limits = DEFAULT_LIMITS
    found: list[Diagnostic] = field(default_factory=list)
    site: Span | None = None
    _seen: set[tuple[str, str, str, int, int]] = field(init=False)

    def __post_init__(self) -> None:
        self._seen = set(map(_key, self.found))

    def report(  # noqa: PLR0913 -- the fields of a Diagnostic, spelled out so that call sites read as sentences
        self,
        code: str,
        message: str,
        span: Span,
        *,
        severity: Severity = Severity.ERROR,
        label: str = "",
        help: str = "",
        path: tuple[str, ...] = (),
        fixes: tuple[Fix, ...] = (),
    ) -> None:
        """Add a diagnostic, unless the same was already said at the same place."""
        self.add(Diagnostic(code, severity, message, span, label, help, path, fixes))

    def refuse(  # noqa: PLR0913 -- as above
        self,
        code: str,
        message: str,
        span: Span,
        *,
        label: str = "",
        help: str = "",
        path: tuple[str, ...] = (),
        fixes: tuple[Fix, ...] = (),
    ) -> InvalidText:
        """Add an error after which nothing follows from the part of the text that it is about: to be raised."""
        self.report(code, message, span, label=label, help=help, path=path, fixes=fixes)
        return InvalidText()

    def add(self, diagnostic: Diagnostic) -> None:
        """Add a diagnostic, unless the same was already said at the same place."""
        if self.site is not None and diagnostic.span.source != self.site.source:
            diagnostic = replace(diagnostic, span=self.site)
        key = _key(diagnostic)
        if key not in self._seen:
            self._seen.add(key)
            self.found.append(diagnostic)

    @contextmanager
    def at(self, site: Span) -> Iterator[None]:
        """While it lasts, what is wrong in another source is said at a place in the user's text.

        Args:
            site: The call of a block of the shipped library.
        """
        self.site = site
        try:
            yield
        finally:
            self.site = None

    def extend(self, found: Iterable[Diagnostic]) -> None:
        """Add several."""
        for diagnostic in found:
            self.add(diagnostic)

    def take(self, reported: Reported[Result]) -> Result:
        """What a function makes of a text, once what it says is added."""
        self.extend(reported.diagnostics)
        return reported.value

    def take_back(self, length: int) -> None:
        """Forget what was reported since there were so many."""
        self._seen.difference_update(map(_key, self.found[length:]))
        del self.found[length:]

    def follow(self, make: Callable[[], Result]) -> Reported[Result]:
        """What a function makes that reports here, with all that was said.

        Raises:
            NestingError: the text nests too deep for it.
        """
        try:
            return Reported(make(), tuple(self.found))
        except RecursionError as error:
            if isinstance(error, NestingError):
                self.extend(error.diagnostics)
            raise NestingError(self.found) from error

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.sorted)

    def __len__(self) -> int:
        return len(self.found)

    @property
    def sorted(self) -> tuple[Diagnostic, ...]:
        """What was said, as :func:`sewdsl.diagnostics.sort_diagnostics` sorts it."""
        return sort_diagnostics(self.found)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """What makes the spec invalid, in the same order."""
        return errors_in(self.sorted)


def _key(diagnostic: Diagnostic) -> tuple[str, str, str, int, int]:
    span = diagnostic.span
    return diagnostic.code, diagnostic.message, span.source.name, span.start, span.end
