"""What a ``study`` section searches: ranges of numbers, and how they are searched instead of trying every value."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sewdsl.diagnostics import Diagnostic, Edit, Fix, Severity
from sewdsl.elaborate.arguments import GivenArgument, validate_arguments
from sewdsl.elaborate.overrides import Override
from sewdsl.elaborate.suggestions import advice
from sewdsl.elaborate.values import ValueReader
from sewdsl.light_dataclass import dataclass
from sewdsl.reporter import Reporter
from sewdsl.source import Span
from sewdsl.syntax.tree import Call, Number, Setting, Value

SCALES = ("log", "linear")
"""How a range is walked through."""
METHODS = ("TPE", "Random")
"""What chooses the values of a trial."""
SIGNIFICANT_DIGITS = 4
"""Of a number out of a range that need not be whole: more of them would only be noise in tables."""
BOUNDS = 2
TRIAL = "trial"
"""The column of the numbers of trials."""

_RANGE = "write 'vary train.optimizer.lr log 0.0001 0.1'"
_SEARCH = "write 'search TPE(trials=20)' or 'search Random(trials=20)'"


class Search(BaseModel):
    """``search TPE(trials=20, prune=median)``.

    Attributes:
        method: ``TPE``, the tree-structured Parzen estimator (Bergstra et al. 2011), or ``Random``.
        trials: How many choices of values are trained.
        seed: Of what chooses them.
        prune: ``median`` ends a trial whose best epoch so far is worse than the median of those before it had been by
            then; None: each is trained to its end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["TPE", "Random"]
    trials: Annotated[int, Field(ge=1, le=10_000)]
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    prune: Literal["median"] | None = None

    def __str__(self) -> str:
        others = [f"seed={self.seed}"] if self.seed else []
        others += ["prune=median"] if self.prune else []
        return f"{self.method}({', '.join([f'trials={self.trials}', *others])})"


@dataclass(frozen=True)
class StudyRange:
    """A key of ``vary`` whose values are the numbers from one to another.

    Attributes:
        scale: One of :data:`SCALES`.
        low: The override that sets it to the least.
        high: The same with the greatest.
        whole: Whether its values are whole numbers.
    """

    name: str
    scale: str
    low: Override
    high: Override
    whole: bool

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest."""
        return float(self.low.text), float(self.high.text)

    def text(self, number: float) -> str:
        """A number out of it as a table and a file have it, with few digits, and not beyond the bounds."""
        if self.whole:
            return str(round(number))
        low, high = self.bounds
        places = SIGNIFICANT_DIGITS - 1 - floor(log10(abs(number))) if number else 0
        return repr(min(high, max(low, round(number, places))))

    def __str__(self) -> str:
        return f"{self.scale} {self.low.text} {self.high.text}"


def is_range_text(text: str) -> bool:
    """Whether a text is that of a :class:`StudyRange`, and not of listed values."""
    scale, *bounds = text.split(" ")
    return scale in SCALES and len(bounds) == BOUNDS and all(bound[:1] in "-.0123456789" for bound in bounds)


def is_range(values: Sequence[Value]) -> bool:
    """Whether the values after a key are a range, ``log 0.0001 0.1``, and no list of values."""
    first = values[0] if values else None
    named = isinstance(first, Call) and not first.called and first.name.plain in SCALES
    return named and (len(values) == 1 or any(isinstance(value, Number) for value in values[1:]))


def read_range(name: str, setting: Setting, reporter: Reporter) -> StudyRange:
    """The range that a line says.

    Raises:
        InvalidText: it has problems, which are reported.
    """
    scale, *bounds = setting.values[1:]
    numbers = [value for value in bounds if isinstance(value, Number)]
    if len(bounds) != BOUNDS or len(numbers) != BOUNDS:
        wrong = next((value.span for value in bounds if not isinstance(value, Number)), setting.span)
        raise reporter.refuse("invalid-argument", "a range goes from one number to another", wrong, help=_RANGE)
    low, high = numbers
    if low.value >= high.value:
        message = f"the range begins at {low.text} and ends at {high.text}"
        span, turned = low.span.to(high.span), f"{high.text} {low.text}"
        fixes = (Fix(f"write '{turned}'", (Edit(span, turned),), safe=False),) if low.value > high.value else ()
        hint = "begin with the lesser of two numbers"
        raise reporter.refuse("invalid-argument", message, span, help=hint, fixes=fixes)
    if scale.span.text == "log" and low.value <= 0:
        message = f"a range on a logarithmic scale cannot begin at {low.text}"
        fixes = (Fix("write 'linear'", (Edit(scale.span, "linear"),), safe=False),)
        hint = "begin above 0, or write 'linear'"
        raise reporter.refuse("invalid-argument", message, low.span, help=hint, fixes=fixes)
    whole = isinstance(low.value, int) and isinstance(high.value, int)
    ends = [Override(name, bound.text, within=bound.span) for bound in numbers]
    return StudyRange(name, scale.span.text, ends[0], ends[1], whole)


def read_search(setting: Setting, reporter: Reporter) -> Search | None:
    """How a line says to search; None where arguments are wrong, which is reported.

    Raises:
        InvalidText: it has other problems, which are reported.
    """
    if len(setting.values) != 1 or not isinstance(setting.values[0], Call):
        message = "'search' says what chooses the values, and how many trials there are"
        raise reporter.refuse("invalid-argument", message, setting.span, help=_SEARCH)
    call = setting.values[0]
    name = call.name.plain or ""
    if name not in METHODS:
        near = advice(name, METHODS, call.name.span, _SEARCH)
        raise reporter.refuse("unknown-name", f"a study cannot search with '{name}'", call.name.span, **near)
    given: dict[str, GivenArgument] = {"method": GivenArgument(name, call.name.span)}
    for argument in call.arguments:
        if argument.name is None or argument.name == "method":
            message = f"{name} has no argument '{argument.span.text}'"
            raise reporter.refuse("unknown-argument", message, argument.span, help=_SEARCH)
        if argument.name in given:
            message = f"{name} has '{argument.name}' twice"
            raise reporter.refuse("duplicate-argument", message, argument.span, help="keep one")
        given[argument.name] = GivenArgument(ValueReader(reporter).read(argument.value), argument.value.span)
    return reporter.take(validate_arguments(Search, name, given, call.span))


def describe_unsearched(name: str, span: Span) -> Diagnostic:
    """What is said of a range where the section does not say how to search it."""
    line = "search TPE(trials=20)"
    fix = Fix(f"add '{line}'", (Edit(span.after, f"\n    {line}"),), safe=False)
    message = f"'{name}' is a range, and the study does not say how to search it"
    hint = f"add '{line}', or list values"
    return Diagnostic("missing-argument", Severity.ERROR, message, span, help=hint, fixes=(fix,))
