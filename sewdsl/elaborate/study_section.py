"""The ``study`` section: the variants of a network that are to be compared, or searched among."""

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
from sewdsl.elaborate.suggestions import advice
from sewdsl.elaborate.values import ValueReader
from sewdsl.light_dataclass import dataclass
from sewdsl.reporter import InvalidText, Reported, Reporter
from sewdsl.source import Span
from sewdsl.syntax.tree import Call, Number, Section, Setting, Text, Value

SEED = "train.seed"
"""The key that makes repeats of one variant rather than variants."""
VARIANT = "variant"
"""The column of the names of variants."""
MAX_RUNS = 10_000
"""Runs of one study."""
PROBE_QUANTITIES = ("rates", "gradients")
"""What a study may look at instead of training."""

_EXAMPLE = "write 'vary join ADD AND IAND'"
_RANGE = "write 'vary train.optimizer.lr log 0.0001 0.1'"
_SEARCH = "write 'search TPE(trials=20)' or 'search Random(trials=20)'"
_LOOK = "write 'probe rates' or 'probe gradients'"
_NAMED = """write 'variant "SEW AND" "join=AND" "train.optimizer.lr=0.03"'"""

SCALES = ("log", "linear")
"""How a range is walked through."""
METHODS = ("TPE", "Random")
"""What chooses the values of a trial."""
SIGNIFICANT_DIGITS = 4
"""Of a number out of a range that need not be whole: more of them would only be noise in tables."""
BOUNDS = 2
TRIAL = "trial"
"""The column of the numbers of trials."""


class Search(BaseModel):
    """``search TPE(trials=20, prune=median)``.

    Attributes:
        method: ``TPE``, the tree-structured Parzen estimator (Bergstra et al. 2011), or ``Random``.
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
        low: The override that sets the key to the least number.
        high: The same with the greatest number.
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


@dataclass(frozen=True)
class AxisValue:
    """One value of an axis: its name in the table, and the overrides that make it."""

    label: str
    overrides: tuple[Override, ...]


@dataclass(frozen=True)
class StudyAxis:
    """A column of the table: a key of ``vary``, or ``variant``, and what is in it."""

    name: str
    choices: tuple[AxisValue, ...]


@dataclass(frozen=True)
class StudyVariant:
    """One network of a study.

    Attributes:
        labels: Its place on each axis but that of the seeds: ``{"join": "AND", "train.T_train": "6"}``.
    """

    labels: dict[str, str]
    overrides: tuple[Override, ...]

    @property
    def title(self) -> str:
        """In words: ``join AND, train.T_train 6``; the name alone of one that has one."""
        words = (text if axis == VARIANT else f"{axis} {text}" for axis, text in self.labels.items())
        return ", ".join(words) or "as written"


@dataclass(frozen=True)
class Study:
    """What a ``study`` section asks for: every variant, each with every seed; or a search among them.

    Attributes:
        variants: In the order of the file, the last axis changing fastest. Of a search, those that are compiled before
            it begins: each value of an axis, and each bound of a range, is in one of them.
        seeds: Overrides of the seed; empty: the recipe's.
        probe: What is looked at in each network before it is trained, one of :data:`PROBE_QUANTITIES`; empty: nothing
            is, and each is trained.
        axes: What is varied, but for the seeds.
        search: How values are chosen; None: all of them are tried.
    """

    variants: tuple[StudyVariant, ...] = ()
    seeds: tuple[Override, ...] = ()
    probe: str = ""
    axes: tuple[StudyAxis | StudyRange, ...] = ()
    search: Search | None = None

    @property
    def numbers(self) -> tuple[int, ...]:
        """The seeds."""
        return tuple(int(seed.text) for seed in self.seeds)

    def trial(self, number: int, values: Mapping[str, str]) -> StudyVariant:
        """The variant of a search that has these values, by axis."""
        overrides: list[Override] = []
        for axis in self.axes:
            if isinstance(axis, StudyRange):
                overrides.append(Override(axis.name, values[axis.name]))
            else:
                overrides += next(one.overrides for one in axis.choices if one.label == values[axis.name])
        return StudyVariant({TRIAL: str(number), **values}, tuple(overrides))


def read_study_section(section: Section) -> Reported[Study]:
    """The study of a section, and what is wrong with the section itself."""
    reader = _Reader()
    return reader.reporter.follow(lambda: _read(section, reader))


def _read(section: Section, reader: _Reader) -> Study:
    if section.on is not None:
        message = "a study is of the network of its own file, on the data set of its recipe"
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
                message = f"'{name}' is a range, and the study does not say how to search it"
                hint = f"add '{line}', or list values"
                reader.reporter.report("missing-argument", message, span, help=hint, fixes=(fix,))
        return Study()
    if reader.search is not None and reader.probe:
        message = "a study that probes trains nothing, so there is nothing to search by"
        reader.reporter.report("invalid-argument", message, reader.lines["search"], help="leave out 'search'")
        return Study()
    if reader.search is not None and not axes:
        if reader.reporter.found:
            return Study()  # what would be searched is wrong, which is said
        message = "the study has nothing to search among"
        hint = "add 'vary train.optimizer.lr log 0.0001 0.1'"
        reader.reporter.report("missing-argument", message, reader.lines["search"], help=hint)
        return Study()
    choices = reader.search.trials if reader.search else prod(len(axis.choices) for axis in listed)
    size = choices * max(1, len(seeds))
    if size > MAX_RUNS:
        message = f"the study has {size:,} runs, but the most are {MAX_RUNS:,}"
        hint = "have fewer trials" if reader.search else "vary less at once"
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
        rows = [[one[row % len(one)] for one in columns] for row in range(max(map(len, columns)))]
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
    """Reads the lines of a section."""

    reporter: Reporter = field(default_factory=Reporter)
    named: dict[str, AxisValue] = field(default_factory=dict)
    varied: dict[str, StudyAxis | StudyRange] = field(default_factory=dict)
    ranges: dict[str, Span] = field(default_factory=dict)
    lines: dict[str, Span] = field(default_factory=dict)
    probe: str = ""
    search: Search | None = None
    misread: bool = False

    def axes(self) -> tuple[list[StudyAxis | StudyRange], tuple[AxisValue, ...]]:
        """The axes of the variants, and the choices of seeds."""
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
        self.reporter.report("unknown-setting", f"a study has no '{key}'", span, **near)

    def _vary(self, setting: Setting) -> None:
        key, *values = setting.values
        if not isinstance(key, Call) or key.arguments:
            message = f"'{key.span.text}' is not the key of a setting"
            raise self.reporter.refuse("invalid-argument", message, key.span, help=_EXAMPLE)
        name = key.name.plain or ""
        name = SEED if name == "seed" else name
        if not is_key(name):
            self.reporter.add(describe_unknown_key(name, key.span))
            return
        if not values:
            message = f"'{name}' has no values to vary over"
            raise self.reporter.refuse("missing-argument", message, setting.span, help=_EXAMPLE)
        if name in self.varied:
            raise self.reporter.refuse("duplicate-setting", f"'{name}' is varied twice", setting.span, help="keep one")
        if is_range(values):
            if name == SEED:
                message, hint = "seeds are no range to search", "list them: vary seed 0 1 2"
                raise self.reporter.refuse("invalid-argument", message, setting.span, help=hint)
            self.varied[name], self.ranges[name] = self._range(name, setting), setting.span
            return
        choices: dict[str, AxisValue] = {}
        for place in map(_inside, values):
            label = " ".join(place.text.split())
            if label in choices:
                message = f"'{label}' occurs twice among the values of '{name}'"
                self.reporter.report("duplicate-argument", message, place, help="keep one")
            if name == SEED and not (label.isascii() and label.isdigit()):
                negative = label[:1] in "-\u2212" and label[1:].isdigit()
                message = f"seed '{label}' {'may not be negative' if negative else 'is not a whole number'}"
                hint = "separate values with spaces: vary seed 0 1 2"
                self.reporter.report("invalid-argument", message, place, help=hint)
            choices[label] = AxisValue(label, (Override(name, place.text, within=place),))
        self.varied[name] = StudyAxis(name, tuple(choices.values()))

    def _search(self, setting: Setting) -> None:
        if "search" in self.lines:
            raise self.reporter.refuse("duplicate-setting", "'search' is written twice", setting.span, help="keep one")
        self.lines["search"], self.misread = setting.span, True
        if len(setting.values) != 1 or not isinstance(setting.values[0], Call):
            message = "'search' says what chooses the values, and how many trials there are"
            raise self.reporter.refuse("invalid-argument", message, setting.span, help=_SEARCH)
        call = setting.values[0]
        name = call.name.plain or ""
        if name not in METHODS:
            near = advice(name, METHODS, call.name.span, _SEARCH)
            raise self.reporter.refuse("unknown-name", f"a study cannot search with '{name}'", call.name.span, **near)
        given: dict[str, GivenArgument] = {"method": GivenArgument(name, call.name.span)}
        for argument in call.arguments:
            if argument.name is None or argument.name == "method":
                message = f"{name} has no argument '{argument.span.text}'"
                raise self.reporter.refuse("unknown-argument", message, argument.span, help=_SEARCH)
            if argument.name in given:
                message = f"{name} has '{argument.name}' twice"
                raise self.reporter.refuse("duplicate-argument", message, argument.span, help="keep one")
            given[argument.name] = GivenArgument(ValueReader(self.reporter).read(argument.value), argument.value.span)
        self.search = self.reporter.take(validate_arguments(Search, name, given, call.span))
        self.misread = self.search is None

    def _range(self, name: str, setting: Setting) -> StudyRange:
        """The range that a line says.

        Raises:
            InvalidText: it has problems, which are reported.
        """
        scale, *bounds = setting.values[1:]
        numbers = [value for value in bounds if isinstance(value, Number)]
        if len(bounds) != BOUNDS or len(numbers) != BOUNDS:
            wrong = next((value.span for value in bounds if not isinstance(value, Number)), setting.span)
            raise self.reporter.refuse(
                "invalid-argument", "a range goes from one number to another", wrong, help=_RANGE
            )
        low, high = numbers
        if low.value >= high.value:
            message = f"the range begins at {low.text} and ends at {high.text}"
            span, turned = low.span.to(high.span), f"{high.text} {low.text}"
            fixes = (Fix(f"write '{turned}'", (Edit(span, turned),), safe=False),) if low.value > high.value else ()
            hint = "begin with the lesser of two numbers"
            raise self.reporter.refuse("invalid-argument", message, span, help=hint, fixes=fixes)
        if scale.span.text == "log" and low.value <= 0:
            message = f"a range on a logarithmic scale cannot begin at {low.text}"
            fixes = (Fix("write 'linear'", (Edit(scale.span, "linear"),), safe=False),)
            hint = "begin above 0, or write 'linear'"
            raise self.reporter.refuse("invalid-argument", message, low.span, help=hint, fixes=fixes)
        whole = isinstance(low.value, int) and isinstance(high.value, int)
        ends = [Override(name, bound.text, within=bound.span) for bound in numbers]
        return StudyRange(name, scale.span.text, ends[0], ends[1], whole)

    def _probe(self, setting: Setting) -> None:
        text = " ".join(value.span.text for value in setting.values)
        if self.probe:
            self.reporter.report("duplicate-setting", "'probe' is written twice", setting.span, help="keep one")
        elif text in PROBE_QUANTITIES:
            self.probe = text
        else:
            message = f"a study cannot probe '{text}'" if text else "'probe' does not say what"
            spans = [value.span for value in setting.values]
            span = spans[0].to(spans[-1]) if spans else setting.span
            self.reporter.report("invalid-argument", message, span, **advice(text, PROBE_QUANTITIES, span, _LOOK))

    def _variant(self, setting: Setting) -> None:
        title, *changes = setting.values
        if not all(isinstance(value, Text) for value in setting.values) or not title.span.text.strip('" '):
            message = "a variant has a name and what it changes, each between double quotes"
            raise self.reporter.refuse("invalid-argument", message, setting.span, help=_NAMED)
        label = " ".join(_inside(title).text.split())
        if label in self.named:
            raise self.reporter.refuse("duplicate-setting", f"variant '{label}' is written twice", title.span)
        overrides: list[Override] = []
        for place in map(_inside, changes):
            key, equals, text = place.text.partition("=")
            if key.strip() and equals and text.strip():
                overrides.append(Override(key.strip(), text, within=place.part(len(key) + 1, len(place.text))))
            else:
                message = f"'{place.text}' is not KEY=VALUE"
                self.reporter.report("invalid-argument", message, place, help="e.g. join=AND")
        self.named[label] = AxisValue(label, tuple(overrides))


def _inside(value: Value) -> Span:
    """Where the text of a value is, without the quotes around it."""
    return value.span.part(1, len(value.span.text) - 1) if isinstance(value, Text) else value.span
