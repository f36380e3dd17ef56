"""Where what is wrong with a text is reported: what was said so far, the limits in force, and the call site."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from sewdsl.diagnostics import Diagnostic, Fix, Severity, errors_in, sort_diagnostics
from sewdsl.limits import DEFAULT_LIMITS, Limits
from sewdsl.source import Span


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
        help: str = "",  # noqa: A002 -- the field's name in the printed form
        path: tuple[str, ...] = (),
        fixes: tuple[Fix, ...] = (),
    ) -> None:
        """Adds a diagnostic, unless the same was already said at the same place."""
        self.add(Diagnostic(code, severity, message, span, label, help, path, fixes))

    def add(self, diagnostic: Diagnostic) -> None:
        """Adds a diagnostic, unless the same was already said at the same place."""
        if self.site is not None and diagnostic.span.source != self.site.source:
            diagnostic = replace(diagnostic, span=self.site)
        key = _key(diagnostic)
        if key not in self._seen:
            self._seen.add(key)
            self.found.append(diagnostic)

    def extend(self, found: Iterable[Diagnostic]) -> None:
        """Adds several."""
        for diagnostic in found:
            self.add(diagnostic)

    def take_back(self, length: int) -> None:
        """Forgets what was reported since there were so many."""
        self._seen.difference_update(map(_key, self.found[length:]))
        del self.found[length:]

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
