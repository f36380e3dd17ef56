"""The ``study`` section: variants of a network to compare, or to search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from itertools import product
from math import floor, log10, prod
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sewdsl.diagnostics import Edit, Fix
from sewdsl.elaborate.arguments import GivenArgument, validate_arguments
from sewdsl.elaborate.overrides import Override, describe_unknown_key, is_key
from sewdsl.elaborate.values import ValueReader
from sewdsl.light_dataclass import dataclass
from sewdsl.reporter import InvalidText, Reported, Reporter
from sewdsl.source import Span
from sewdsl.syntax.suggestions import advice
from sewdsl.syntax.tree import Call, Number, Section, Setting, Text, Value

SEED = "train.seed"
"""Key whose values are repetitions of a variant instead of variants."""
VARIANT = "variant"
"""Column of the names of variants."""
MAX_RUNS = 10_000
"""Maximum number of runs of a study."""
PROBE_QUANTITIES = ("rates", "gradients")
"""Quantities that a study can probe instead of training."""

_EXAMPLE = "write 'vary join ADD AND IAND'"
_RANGE = "write 'vary train.optimizer.lr log 0.0001 0.1'"
_SEARCH = "write 'search TPE(trials=20)' or 'search Random(trials=20)'"
_LOOK = "write 'probe rates' or 'probe gradients'"
_NAMED = """write 'variant "SEW AND" "join=AND" "train.optimizer.lr=0.03"'"""

SCALES = ("log", "linear")
METHODS = ("TPE", "Random")
SIGNIFICANT_DIGITS = 4
"""Significant digits of numbers from a range, to keep tables readable."""
BOUNDS = 2
TRIAL = "trial"
"""Column of the numbers of trials."""


class Search(BaseModel):
    """Search line ``search TPE(trials=20, prune=median)``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["TPE", "Random"]
    """``TPE``, the tree-structured Parzen estimator (Bergstra et al. 2011), or ``Random``."""
    trials: Annotated[int, Field(ge=1, le=10_000)]
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    prune: Literal["median"] | None = None
    """``median`` stops a trial whose best epoch so far is worse than the median of earlier trials at the same epoch.
    None trains every trial to its end."""

    def __str__(self) -> str:
        others = [f"seed={self.seed}"] if self.seed else []
        others += ["prune=median"] if self.prune else []
        return f"{self.method}({', '.join([f'trials={self.trials}', *others])})"


@dataclass(frozen=True)
class StudyRange:
    """Range of numbers of a ``vary`` line."""

    name: str
    """Key of the setting."""
    scale: str
    low: Override
    """Override with the smallest number."""
    high: Override
    """Override with the largest number."""
    is_integer: bool
    """Whether the values are integers."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest number."""
        return float(self.low.text), float(self.high.text)

    def text(self, number: float) -> str:
        """Return the text of a number from the range, rounded to :data:`SIGNIFICANT_DIGITS`."""
        if self.is_integer:
            return str(round(number))
        low, high = self.bounds
        decimals = SIGNIFICANT_DIGITS - 1 - floor(log10(abs(number))) if number else 0
        # Rounding must not leave the range.
        return repr(min(high, max(low, round(number, decimals))))

    def __str__(self) -> str:
        return f"{self.scale} {self.low.text} {self.high.text}"


def is_range_text(text: str) -> bool:
    """Return whether a text is that of a :class:`StudyRange` instead of listed values."""
    scale, *bounds = text.split(" ")
    return scale in SCALES and len(bounds) == BOUNDS and all(bound[:1] in "-.0123456789" for bound in bounds)


def is_range(values: Sequence[Value]) -> bool:
    """Return whether the values after a key are a range, e.g. ``log 0.0001 0.1``, instead of a list."""
    first = values[0] if values else None
    named = isinstance(first, Call) and not first.called and first.name.plain in SCALES
    return named and (len(values) == 1 or any(isinstance(value, Number) for value in values[1:]))


@dataclass(frozen=True)
class AxisValue:
    """Value of an axis, with its label in tables and its overrides."""

    label: str
    overrides: tuple[Override, ...]


@dataclass(frozen=True)
class StudyAxis:
    """Axis of a study, a column of its table: a key of ``vary`` or ``variant``, with its values."""

    name: str
    choices: tuple[AxisValue, ...]

    def __str__(self) -> str:
        return " ".join(choice.label for choice in self.choices)


@dataclass(frozen=True)
class StudyVariant:
    """Network of a study."""

    labels: dict[str, str]
    """Label on each axis except the seeds: ``{"join": "AND", "train.T_train": "6"}``."""
    overrides: tuple[Override, ...]

    @property
    def title(self) -> str:
        """Title of the variant: ``join AND, train.T_train 6``, or the name of a named variant."""
        words = (text if axis == VARIANT else f"{axis} {text}" for axis, text in self.labels.items())
        return ", ".join(words) or "as written"


@dataclass(frozen=True)
class Study:
    """Study of all variants with all seeds, or a search among variants."""

    variants: tuple[StudyVariant, ...] = ()
    """Variants in the order of the file. The last axis changes fastest. For a search, variants that contain each value
    and each bound once, which are compiled before the search."""
    seeds: tuple[Override, ...] = ()
    """Overrides of the seed. Empty means the seed of the recipe."""
    probe: str = ""
    """Quantity to probe instead of training, one of :data:`PROBE_QUANTITIES`. Empty means training."""
    axes: tuple[StudyAxis | StudyRange, ...] = ()
    """Axes except the seeds."""
    search: Search | None = None
    """Search line. None means that all variants are used."""

    @property
    def numbers(self) -> tuple[int, ...]:
        """Seeds as numbers."""
        return tuple(int(seed.text) for seed in self.seeds)

    def trial(self, number: int, values: Mapping[str, str]) -> StudyVariant:
        """Return the variant of a trial with the given values by axis."""
        overrides: list[Override] = []
        for axis in self.axes:
            if isinstance(axis, StudyRange):
                overrides.append(Override(axis.name, values[axis.name]))
            else:
                overrides += next(each.overrides for each in axis.choices if each.label == values[axis.name])
        return StudyVariant({TRIAL: str(number), **values}, tuple(overrides))


def read_study_section(section: Section) -> Reported[Study]:
    """Read a ``study`` section, and report its errors."""
    reader = _Reader()
    return reader.reporter.follow(lambda: _read(section, reader))


def _read(section: Section, reader: _Reader) -> Study:
    if section.on is not None:
        message = "a study has no dataset of its own; it uses the dataset of the recipe"
        reader.reporter.report("unexpected-token", message, section.span, help="write 'study { … }'")
    for setting in section.settings:
        with suppress(InvalidText):
            reader.take(setting)
    axes, seeds = reader.axes()
    listed = [axis for axis in axes if isinstance(axis, StudyAxis)]
    if reader.search is None and len(listed) < len(axes):
        if not reader.misread:
            for name, span in reader.ranges.items():
                line = "search TPE(trials=20)"
                fix = Fix(f"add '{line}'", (Edit(span.after, f"\n    {line}"),), safe=False)
                message = f"'{name}' is a range, but the study has no 'search' line"
                hint = f"add '{line}', or list values"
                reader.reporter.report("missing-argument", message, span, help=hint, fixes=(fix,))
        return Study()
    if reader.search is not None and reader.probe:
        message = "'search' and 'probe' cannot be combined"
        hint = "remove 'search'; a study with 'probe' trains no network"
        reader.reporter.report("invalid-argument", message, reader.lines["search"], help=hint)
        return Study()
    if reader.search is not None and not axes:
        if reader.reporter.diagnostics:
            return Study()  # The axes have errors, which are already reported.
        message = "'search' requires a 'vary' or 'variant' line"
        hint = "add 'vary train.optimizer.lr log 0.0001 0.1'"
        reader.reporter.report("missing-argument", message, reader.lines["search"], help=hint)
        return Study()
    choices = reader.search.trials if reader.search else prod(len(axis.choices) for axis in listed)
    size = choices * max(1, len(seeds))
    if size > MAX_RUNS:
        message = f"the study has {size:,} runs; the limit is {MAX_RUNS:,}"
        hint = "reduce the number of trials" if reader.search else "vary fewer settings or values"
        reader.reporter.report("invalid-argument", message, section.name.span, help=hint)
        return Study()
    columns = [
        axis.choices
        if isinstance(axis, StudyAxis)
        else tuple(AxisValue(end.text, (end,)) for end in (axis.low, axis.high))
        for axis in axes
    ]
    rows: Iterable[Sequence[AxisValue]] = product(*columns)
    if reader.search is not None:
        # The product of all axes can be huge, so compile only enough variants to contain each value once.
        rows = [[column[row % len(column)] for column in columns] for row in range(max(map(len, columns)))]
    variants = tuple(
        StudyVariant(
            {axis.name: choice.label for axis, choice in zip(axes, row, strict=True)},
            tuple(item for choice in row for item in choice.overrides),
        )
        for row in rows
    )
    repeats = tuple(item for choice in seeds for item in choice.overrides)
    return Study(variants, repeats, reader.probe, tuple(axes), reader.search)


@dataclass
class _Reader:
    reporter: Reporter = field(default_factory=Reporter)
    named: dict[str, AxisValue] = field(default_factory=dict)
    varied: dict[str, StudyAxis | StudyRange] = field(default_factory=dict)
    ranges: dict[str, Span] = field(default_factory=dict)
    lines: dict[str, Span] = field(default_factory=dict)
    probe: str = ""
    search: Search | None = None
    misread: bool = False

    def axes(self) -> tuple[list[StudyAxis | StudyRange], tuple[AxisValue, ...]]:
        """Return the axes of the variants, and the seeds."""
        seeds = self.varied.pop(SEED, None)
        named = [StudyAxis(VARIANT, tuple(self.named.values()))] if self.named else []
        return [*named, *self.varied.values()], seeds.choices if isinstance(seeds, StudyAxis) else ()

    def take(self, setting: Setting) -> None:
        readers = {"vary": self._vary, "variant": self._variant, "probe": self._probe, "search": self._search}
        key, span = setting.key.text, setting.key.span
        if key in readers:
            readers[key](setting)
            return
        near = advice(key, readers, span, f"{_EXAMPLE}, or {_NAMED}")
        self.reporter.report("unknown-setting", f"unknown setting '{key}' of the study", span, **near)

    def _vary(self, setting: Setting) -> None:
        key, *values = setting.values
        if not isinstance(key, Call) or key.arguments:
            message = f"expected the name of a setting, got '{key.span.text}'"
            raise self.reporter.refuse("invalid-argument", message, key.span, help=_EXAMPLE)
        name = key.name.plain or ""
        name = SEED if name == "seed" else name  # short form
        if not is_key(name):
            self.reporter.add(describe_unknown_key(name, key.span))
            return
        if not values:
            message = f"'vary {name}' requires values"
            raise self.reporter.refuse("missing-argument", message, setting.span, help=_EXAMPLE)
        if name in self.varied:
            message, hint = f"duplicate 'vary {name}'", "remove one of them"
            raise self.reporter.refuse("duplicate-setting", message, setting.span, help=hint)
        if is_range(values):
            if name == SEED:
                message, hint = "'vary seed' does not support ranges", "list the seeds: vary seed 0 1 2"
                raise self.reporter.refuse("invalid-argument", message, setting.span, help=hint)
            self.varied[name], self.ranges[name] = self._range(name, setting), setting.span
            return
        choices: dict[str, AxisValue] = {}
        for span in map(_inside, values):
            label = " ".join(span.text.split())
            if label in choices:
                message = f"duplicate value '{label}' of '{name}'"
                self.reporter.report("duplicate-argument", message, span, help="remove one of them")
            if name == SEED and not (label.isascii() and label.isdigit()):
                message = f"seed must be a non-negative integer, got '{label}'"
                hint = "separate seeds with spaces: vary seed 0 1 2"
                self.reporter.report("invalid-argument", message, span, help=hint)
            choices[label] = AxisValue(label, (Override(name, span.text, within=span),))
        self.varied[name] = StudyAxis(name, tuple(choices.values()))

    def _search(self, setting: Setting) -> None:
        if "search" in self.lines:
            hint = "remove one of them"
            raise self.reporter.refuse("duplicate-setting", "duplicate 'search'", setting.span, help=hint)
        # An invalid search line must not cause an error about ranges without a search.
        self.lines["search"], self.misread = setting.span, True
        if len(setting.values) != 1 or not isinstance(setting.values[0], Call):
            message = "'search' requires a method and a number of trials"
            raise self.reporter.refuse("invalid-argument", message, setting.span, help=_SEARCH)
        call = setting.values[0]
        name = call.name.plain or ""
        if name not in METHODS:
            near = advice(name, METHODS, call.name.span, _SEARCH)
            raise self.reporter.refuse("unknown-name", f"unknown search method '{name}'", call.name.span, **near)
        arguments: dict[str, GivenArgument] = {"method": GivenArgument(name, call.name.span)}
        for argument in call.arguments:
            if argument.name is None or argument.name == "method":
                message = f"'{name}' has no argument '{argument.span.text}'"
                raise self.reporter.refuse("unknown-argument", message, argument.span, help=_SEARCH)
            if argument.name in arguments:
                message, hint = f"duplicate argument '{argument.name}'", "remove one of them"
                raise self.reporter.refuse("duplicate-argument", message, argument.span, help=hint)
            value = ValueReader(self.reporter).read(argument.value)
            arguments[argument.name] = GivenArgument(value, argument.value.span)
        self.search = self.reporter.take(validate_arguments(Search, f"'{name}'", arguments, call.span))
        self.misread = self.search is None

    def _range(self, name: str, setting: Setting) -> StudyRange:
        """Return the range of a ``vary`` line, or report that it is invalid and raise InvalidText."""
        scale, *bounds = setting.values[1:]
        numbers = [value for value in bounds if isinstance(value, Number)]
        if len(bounds) != BOUNDS or len(numbers) != BOUNDS:
            wrong = next((value.span for value in bounds if not isinstance(value, Number)), setting.span)
            raise self.reporter.refuse("invalid-argument", "a range requires two numbers", wrong, help=_RANGE)
        low, high = numbers
        if low.value >= high.value:
            message = f"the range must start below its end, got {low.text} to {high.text}"
            span, turned = low.span.to(high.span), f"{high.text} {low.text}"
            # Equal bounds have no obvious fix.
            fixes = (Fix(f"write '{turned}'", (Edit(span, turned),), safe=False),) if low.value > high.value else ()
            hint = "use two different numbers, the smaller one first"
            raise self.reporter.refuse("invalid-argument", message, span, help=hint, fixes=fixes)
        if scale.span.text == "log" and low.value <= 0:
            message = f"a logarithmic range must start above 0, got {low.text}"
            fixes = (Fix("write 'linear'", (Edit(scale.span, "linear"),), safe=False),)
            hint = "start above 0, or use 'linear'"
            raise self.reporter.refuse("invalid-argument", message, low.span, help=hint, fixes=fixes)
        is_integer = isinstance(low.value, int) and isinstance(high.value, int)
        ends = [Override(name, bound.text, within=bound.span) for bound in numbers]
        return StudyRange(name, scale.span.text, ends[0], ends[1], is_integer)

    def _probe(self, setting: Setting) -> None:
        text = " ".join(value.span.text for value in setting.values)
        if self.probe:
            self.reporter.report("duplicate-setting", "duplicate 'probe'", setting.span, help="remove one of them")
        elif text in PROBE_QUANTITIES:
            self.probe = text
        else:
            message = f"unknown quantity '{text}' to probe" if text else "'probe' requires a quantity"
            spans = [value.span for value in setting.values]
            span = spans[0].to(spans[-1]) if spans else setting.span
            self.reporter.report("invalid-argument", message, span, **advice(text, PROBE_QUANTITIES, span, _LOOK))

    def _variant(self, setting: Setting) -> None:
        title, *changes = setting.values
        if not all(isinstance(value, Text) for value in setting.values) or not title.span.text.strip('" '):
            message = "'variant' requires a name and changes, each in double quotes"
            raise self.reporter.refuse("invalid-argument", message, setting.span, help=_NAMED)
        label = " ".join(_inside(title).text.split())
        if label in self.named:
            raise self.reporter.refuse("duplicate-setting", f"duplicate variant '{label}'", title.span)
        overrides: dict[str, Override] = {}
        for span in map(_inside, changes):
            key, equals, text = span.text.partition("=")
            if key.strip() in overrides:
                message = f"duplicate '{key.strip()}' of variant '{label}'"
                self.reporter.report("duplicate-setting", message, span, help="remove one of them")
            elif key.strip() and equals and text.strip():
                overrides[key.strip()] = Override(key.strip(), text, within=span.part(len(key) + 1, len(span.text)))
            else:
                message = f"expected KEY=VALUE, got '{span.text}'"
                self.reporter.report("invalid-argument", message, span, help="use e.g. join=AND")
        self.named[label] = AxisValue(label, tuple(overrides.values()))


def _inside(value: Value) -> Span:
    return value.span.part(1, len(value.span.text) - 1) if isinstance(value, Text) else value.span
