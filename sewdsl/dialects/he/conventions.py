"""Conventions of the dialect that a string leaves open: stated by ``--dialect he(…)``, or assumed with a note."""

from __future__ import annotations

from dataclasses import field
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from sewdsl.diagnostics import Severity
from sewdsl.elaborate.arguments import GivenArgument, validate_arguments
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import Limits
from sewdsl.reporter import Reported, Reporter
from sewdsl.source import Source, Span
from sewdsl.syntax.parser import parse_value
from sewdsl.syntax.tree import Call, Number

NAME = "he"


class Conventions(BaseModel):
    """What holds for a whole text; None is not stated, so that what is assumed is said.

    Attributes:
        norm: What follows each convolution without one of its own.
        padding: ``same``: a convolution keeps its size; ``none``: it pads nothing.
        pool: What ``P2`` is, an average or a maximum.
        neurons: After what a convolution's neurons come: itself (``conv``); the pool that follows it, where one does
            (``pool``); both.
        output: What the last layer gives: ``current``, without neurons, or ``spikes``.
        classes: How many outputs the network has, at least 1: how wide a bare ``FC`` is, for how many classes
            ``Voting`` votes, and of what width a layer is added where the last one has another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    norm: Literal["BN", "tdBN", "none"] | None = None
    padding: Literal["same", "none"] | None = None
    pool: Literal["AP", "MP"] | None = None
    neurons: Literal["conv", "pool", "both"] | None = None
    output: Literal["current", "spikes"] | None = None
    classes: int | None = Field(default=None, ge=1)


def parse_conventions(text: str, limits: Limits) -> Reported[Conventions | None]:
    """What ``he`` or ``he(norm=BN, padding=none)`` says; None where it is wrong."""
    reporter = Reporter(limits)
    return reporter.follow(lambda: _read_conventions(text, reporter))


def _read_conventions(text: str, reporter: Reporter) -> Conventions | None:
    values = reporter.take(parse_value(Source("--dialect", text), reporter.limits))
    if values is None:
        return None
    call = values[0]
    if not isinstance(call, Call) or len(values) > 1 or call.name.plain != NAME:
        name = call.name.plain if isinstance(call, Call) else None
        hint = did_you_mean(name or "", [NAME]) or f"write {NAME}, or {NAME}(norm=BN, padding=none)"
        reporter.report("unknown-name", f"there is no dialect '{text.strip()}'", call.span, help=hint)
        return None
    given: dict[str, GivenArgument] = {}
    for argument in call.arguments:
        name = argument.name or ""
        if name in given:
            reporter.report("duplicate-argument", f"'{name}' is given twice", argument.span, help="keep one")
            return None
        value = argument.value  # a number, or the text of whatever else is given: no word of a dialect means a layer
        plain = value.value if isinstance(value, Number) else value.span.text
        given[name] = GivenArgument(plain, argument.span)
    return reporter.take(validate_arguments(Conventions, f"the dialect '{NAME}'", given, call.span))


class Assumption(NamedTuple):
    """The texts of a note; ``{text}`` in them is the word that it is about."""

    message: str
    label: str
    help: str = ""


PADDING = Assumption(
    "no padding is written: each convolution keeps its size",
    "padding (k-1)/2",
    "some papers pad nothing: --dialect 'he(padding=none)'; this is padding=same",
)
NORM = Assumption(
    "no batch norm is written, so there is none",
    "without batch norm, with a bias",
    "many papers have one after each convolution: --dialect 'he(norm=BN)'; this is norm=none",
)
NEURONS = Assumption(
    "no neurons are written: they follow each convolution and each hidden layer",
    "neurons after this",
    "some papers have them after the pools: --dialect 'he(neurons=pool)' or neurons=both; this is neurons=conv",
)
NEURON_KIND = Assumption("the neurons are not named: SN is LIF", "LIF", "say which with --neuron")
POOL = Assumption(
    "'{text}' does not say whether it is an average or a maximum: it is read as an average",
    "read as AP",
    "say which with --dialect 'he(pool=MP)' or 'he(pool=AP)'",
)
OUTPUT = Assumption(
    "the last layer is the output, and has no neurons",
    "gives a current for each class",
    "with neurons: --dialect 'he(output=spikes)'; this is output=current. Some papers leave the output out of the "
    "text: 'he(classes=10)' adds it",
)
NO_OUTPUT = Assumption(
    "the text ends without a layer for the classes, and so does the network",
    "the output",
    "some papers leave it out: --dialect 'he(classes=10)' adds it",
)
REMARK = Assumption("'{text}': {remark}", "read as the nearest of ours")
"""A word that says more than its layer, or means something that ours does not have."""
FEATURES = Assumption(
    "the first number, {text}, is read as the input: a vector of {text} values",
    "input {text}",
    "write {text}FC where it is a layer",
)
SIZE = Assumption(
    "the input {text} is read as {channels} of {height}x{width}",
    "input {read}",
    "say which is what with --input CxHxW, e.g. --input {read}",
)
"""A size of the input, of which it is not written which number is what."""


@dataclass
class Assumptions:
    """The notes of one text."""

    reporter: Reporter
    _said: set[str] = field(default_factory=set)

    def say(self, assumption: Assumption, span: Span, **values: object) -> None:
        """Notes an assumption, once however often it applies."""
        message, label, help = (text.format(text=span.text, **values) for text in assumption)
        if message not in self._said:
            self._said.add(message)
            self.reporter.report("dialect-assumption", message, span, severity=Severity.NOTE, label=label, help=help)
