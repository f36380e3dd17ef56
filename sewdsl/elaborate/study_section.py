"""The ``study`` section: the variants of a network that are to be compared."""

from __future__ import annotations

from dataclasses import field
from itertools import product
from math import prod

from sewdsl.elaborate.overrides import Override, describe_unknown_key, is_key
from sewdsl.elaborate.suggestions import advice
from sewdsl.light_dataclass import dataclass
from sewdsl.reporter import Reported, Reporter
from sewdsl.source import Span
from sewdsl.syntax.tree import Call, Section, Setting, Text, Value

SEED = "train.seed"
"""The key that makes repeats of one variant rather than variants."""
VARIANT = "variant"
"""The column of the names of variants."""
MAX_RUNS = 10_000
"""Runs of one study."""
PROBE_QUANTITIES = ("rates", "gradients")
"""What a study may look at instead of training."""

_EXAMPLE = "write 'vary join ADD AND IAND'"
_LOOK = "write 'probe rates' or 'probe gradients'"
_NAMED = """write 'variant "SEW AND" "join=AND" "train.optimizer.lr=0.03"'"""


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
        overrides: What makes it of the file's network.
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
    """What a ``study`` section asks for: every variant, each with every seed.

    Attributes:
        variants: In the order of the file, the last axis changing fastest.
        seeds: Overrides of the seed; empty: the recipe's.
        probe: What is looked at in each network before it is trained, one of :data:`PROBE_QUANTITIES`; empty: nothing
            is, and each is trained.
    """

    variants: tuple[StudyVariant, ...] = ()
    seeds: tuple[Override, ...] = ()
    probe: str = ""

    @property
    def numbers(self) -> tuple[int, ...]:
        """The seeds."""
        return tuple(int(seed.text) for seed in self.seeds)


def read_study_section(section: Section) -> Reported[Study]:
    """The study of a section, and what is wrong with the section itself."""
    reader = _Reader()
    return reader.reporter.follow(lambda: _read(section, reader))


def _read(section: Section, reader: _Reader) -> Study:
    if section.on is not None:
        message = "a study is of the network of its own file, on the data set of its recipe"
        reader.reporter.report("unexpected-token", message, section.span, help="write 'study { … }'")
    for setting in section.settings:
        reader.take(setting)
    axes, seeds = reader.axes()
    size = prod(len(axis.choices) for axis in axes) * max(1, len(seeds))
    if size > MAX_RUNS:
        message = f"the study has {size:,} runs, but the most are {MAX_RUNS:,}"
        reader.reporter.report("invalid-argument", message, section.name.span, help="vary less at once")
        return Study()
    variants = tuple(
        StudyVariant(
            {axis.name: choice.label for axis, choice in zip(axes, choices, strict=True)},
            tuple(item for choice in choices for item in choice.overrides),
        )
        for choices in product(*(axis.choices for axis in axes))
    )
    return Study(variants, tuple(item for choice in seeds for item in choice.overrides), reader.probe)


@dataclass
class _Reader:
    """Reads the lines of a section."""

    reporter: Reporter = field(default_factory=Reporter)
    named: dict[str, AxisValue] = field(default_factory=dict)
    varied: dict[str, StudyAxis] = field(default_factory=dict)
    probe: str = ""

    def axes(self) -> tuple[list[StudyAxis], tuple[AxisValue, ...]]:
        """The axes of the variants, and the choices of seeds."""
        seeds = self.varied.pop(SEED, StudyAxis(SEED, ())).choices
        named = [StudyAxis(VARIANT, tuple(self.named.values()))] if self.named else []
        return [*named, *self.varied.values()], seeds

    def take(self, setting: Setting) -> None:
        match setting.key.text:
            case "vary":
                self._vary(setting)
            case "variant":
                self._variant(setting)
            case "probe":
                self._probe(setting)
            case other:
                near = advice(other, ("vary", "variant", "probe"), setting.key.span, f"{_EXAMPLE}, or {_NAMED}")
                message = f"a study has no '{other}'"
                self.reporter.report("unknown-setting", message, setting.key.span, **near)

    def _vary(self, setting: Setting) -> None:
        key, *values = setting.values
        if not isinstance(key, Call) or key.arguments:
            message = f"'{key.span.text}' is not the key of a setting"
            self.reporter.report("invalid-argument", message, key.span, help=_EXAMPLE)
            return
        name = key.name.plain or ""
        name = SEED if name == "seed" else name
        if not is_key(name):
            self.reporter.add(describe_unknown_key(name, key.span))
            return
        if not values:
            message = f"'{name}' has no values to vary over"
            self.reporter.report("missing-argument", message, setting.span, help=_EXAMPLE)
            return
        if name in self.varied:
            self.reporter.report("duplicate-setting", f"'{name}' is varied twice", setting.span, help="keep one")
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
            self.reporter.report("invalid-argument", message, setting.span, help=_NAMED)
            return
        label = " ".join(_inside(title).text.split())
        if label in self.named:
            self.reporter.report("duplicate-setting", f"variant '{label}' is written twice", title.span, help="")
            return
        found = [self._change(_inside(value)) for value in changes]
        self.named[label] = AxisValue(label, tuple(item for item in found if item is not None))

    def _change(self, place: Span) -> Override | None:
        key, equals, text = place.text.partition("=")
        if not (key.strip() and equals and text.strip()):
            message = f"'{place.text}' is not KEY=VALUE"
            self.reporter.report("invalid-argument", message, place, help="e.g. join=AND")
            return None
        return Override(key.strip(), text, within=place.part(len(key) + 1, len(place.text)))


def _inside(value: Value) -> Span:
    """Where the text of a value is, without the quotes around it."""
    return value.span.part(1, len(value.span.text) - 1) if isinstance(value, Text) else value.span
