"""What a text in the dialect does not say, and the option says in its place."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sewdsl.diagnostics import Diagnostics
from sewdsl.elaborate.arguments import GivenArgument, validate_arguments
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.source import Source
from sewdsl.syntax.limits import Limits
from sewdsl.syntax.parser import parse_value
from sewdsl.syntax.tree import Argument, Call, Number

NAME = "he"


class Conventions(BaseModel):
    """What holds for a whole text; None is not stated, so that what is assumed is said.

    Attributes:
        norm: What stands behind each convolution without one of its own.
        padding: ``same``: a convolution keeps its size; ``none``: it pads nothing.
        pool: What ``P2`` is, an average or a maximum.
        neurons: Behind what a convolution's neurons stand: itself (``conv``); the pool that follows it, where one does
            (``pool``); both.
        output: What the last layer gives: ``current``, without neurons, or ``spikes``.
        classes: How many outputs the network has, at least 1: how wide a bare ``FC`` is, for how many classes
            ``Voting`` votes, and of what width a layer is added where the last one has another.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    norm: Literal["BN", "tdBN", "none"] | None = None
    padding: Literal["same", "none"] | None = None
    pool: Literal["AP", "MP"] | None = None
    neurons: Literal["conv", "pool", "both"] | None = None
    output: Literal["current", "spikes"] | None = None
    classes: int | None = Field(default=None, ge=1)


def parse_conventions(text: str, diagnostics: Diagnostics, limits: Limits) -> Conventions | None:
    """What ``he`` or ``he(norm=BN, padding=none)`` says; None where it is wrong, which is reported."""
    source = Source("--dialect", text)
    values = parse_value(source, diagnostics, limits)
    if values is None:
        return None
    call = values[0]
    if not isinstance(call, Call) or len(values) > 1 or call.name.plain != NAME:
        name = call.name.plain if isinstance(call, Call) else None
        hint = did_you_mean(name or "", [NAME]) or f"write {NAME}, or {NAME}(norm=BN, padding=none)"
        diagnostics.report("unknown-name", f"there is no dialect '{text.strip()}'", call.span, help=hint)
        return None
    given: dict[str, GivenArgument] = {}
    for argument in call.arguments:
        name = argument.name or ""
        if name in given:
            diagnostics.report("duplicate-argument", f"'{name}' is given twice", argument.span, help="keep one")
            return None
        given[name] = GivenArgument(_plain(argument), argument.span)
    return validate_arguments(Conventions, f"the dialect '{NAME}'", given, call.span, diagnostics)


def _plain(argument: Argument) -> str | int | float:
    """A number, or the text of whatever else is given: no word of a dialect means a layer."""
    return argument.value.value if isinstance(argument.value, Number) else argument.value.span.text
