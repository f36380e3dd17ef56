"""Conventions that a string of the dialect leaves open: set by ``--dialect he(…)``, or assumed with a note."""

from __future__ import annotations

from dataclasses import field
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from sewdsl.diagnostics import Severity
from sewdsl.elaborate.arguments import GivenArgument, validate_arguments
from sewdsl.light_dataclass import dataclass
from sewdsl.limits import Limits
from sewdsl.reporter import Reported, Reporter
from sewdsl.source import Source, Span
from sewdsl.syntax.parser import parse_value
from sewdsl.syntax.suggestions import did_you_mean
from sewdsl.syntax.tree import Call, Number

NAME = "he"


class Conventions(BaseModel):
    """Conventions of a whole string.

    Fields with None are not set: the assumption is reported.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    norm: Literal["BN", "tdBN", "none"] | None = None
    """Norm after each convolution without an explicit norm."""
    padding: Literal["same", "none"] | None = None
    """``same``: convolutions preserve the size. ``none``: no padding."""
    pool: Literal["AP", "MP"] | None = None
    """Meaning of ``P2``: average or max pooling."""
    neurons: Literal["conv", "pool", "both"] | None = None
    """Position of the neurons of convolutions: after the convolution (``conv``), after a pool that follows it
    (``pool``), or both."""
    output: Literal["current", "spikes"] | None = None
    """Output of the last layer: ``current`` (no neurons) or ``spikes``."""
    classes: int | None = Field(default=None, ge=1)
    """Number of network outputs, at least 1. It is the width of a bare ``FC`` and the number of classes for ``Voting``.
    If the last layer has another width, a layer of this width is added."""


def parse_conventions(text: str, limits: Limits) -> Reported[Conventions | None]:
    """Parse ``he`` or ``he(norm=BN, padding=none)``. The result is None for an invalid option."""
    reporter = Reporter(limits)
    return reporter.follow(lambda: _read_conventions(text, reporter))


def _read_conventions(text: str, reporter: Reporter) -> Conventions | None:
    """Parse the option, and report errors."""
    values = reporter.take(parse_value(Source("--dialect", text), reporter.limits))
    if values is None:
        return None
    call = values[0]
    if not isinstance(call, Call) or len(values) > 1 or call.name.plain != NAME:
        name = call.name.plain if isinstance(call, Call) else None
        hint = did_you_mean(name or "", [NAME]) or f"use {NAME} or {NAME}(norm=BN, padding=none)"
        reporter.report("unknown-name", f"unknown dialect '{text.strip()}'", call.span, help=hint)
        return None
    arguments: dict[str, GivenArgument] = {}
    for argument in call.arguments:
        name = argument.name or ""
        if name in arguments:
            reporter.report("duplicate-argument", f"duplicate argument '{name}'", argument.span, help="remove one")
            return None
        value = argument.value  # A number, or plain text: values of conventions are not layers.
        plain_value = value.value if isinstance(value, Number) else value.span.text
        arguments[name] = GivenArgument(plain_value, argument.span)
    return reporter.take(validate_arguments(Conventions, f"the dialect '{NAME}'", arguments, call.span))


class Assumption(NamedTuple):
    """Texts of a note. ``{text}`` is the word in question."""

    message: str
    label: str
    help: str = ""


PADDING = Assumption(
    "padding is not specified: convolutions preserve the size",
    "padding (k-1)/2",
    "confirm with --dialect 'he(padding=same)', or use padding=none as in some papers",
)
NORM = Assumption(
    "batch norm is not specified: convolutions have none",
    "bias, no batch norm",
    "confirm with --dialect 'he(norm=none)', or use norm=BN as in many papers",
)
NEURONS = Assumption(
    "neurons are not specified: they follow each convolution and each hidden layer",
    "neurons after this layer",
    "confirm with --dialect 'he(neurons=conv)', or use neurons=pool or neurons=both as in some papers",
)
NEURON_KIND = Assumption("the kind of neuron is not specified: SN is LIF", "LIF", "set it with --neuron")
POOL = Assumption(
    "'{text}' does not specify average or maximum: it is read as average pooling",
    "read as AP",
    "set it with --dialect 'he(pool=AP)' or 'he(pool=MP)'",
)
OUTPUT = Assumption(
    "neurons of the output layer are not specified: the last layer has none",
    "outputs a current per class",
    "confirm with --dialect 'he(output=current)', or use output=spikes; if the string omits the output layer, add it "
    "with 'he(classes=10)'",
)
NO_OUTPUT = Assumption(
    "the string ends without an output layer",
    "output of the network",
    "if the paper omits the output layer, add it with --dialect 'he(classes=10)'",
)
REMARK = Assumption("'{text}': {remark}", "read as the nearest equivalent")
"""Note on a word that specifies more than its layer, or has no exact equivalent."""
FEATURES = Assumption(
    "the first number, {text}, is read as the input: a vector of {text} values",
    "input {text}",
    "write {text}FC if it is a layer",
)
SIZE = Assumption(
    "the input {text} is read as {channels} of {height}x{width}",
    "input {read}",
    "set it with --input CxHxW, e.g. --input {read}",
)
"""Note on an input size whose order of axes is not specified."""


@dataclass
class Assumptions:
    """Notes on the assumptions about one string."""

    reporter: Reporter
    _reported: set[str] = field(default_factory=set)

    def report(self, assumption: Assumption, span: Span, **values: object) -> None:
        """Report an assumption, unless the same note was reported before."""
        message, label, help = (text.format(text=span.text, **values) for text in assumption)
        if message not in self._reported:
            self._reported.add(message)
            self.reporter.report("dialect-assumption", message, span, severity=Severity.NOTE, label=label, help=help)
