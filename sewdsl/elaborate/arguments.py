"""Arguments of a kind, from the text to a validated instance and back; every complaint points at the argument."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.elaborate.suggestions import NO_ADVICE, Advice, advice, nearest_name, rename
from sewdsl.ir.kind import CATALOGUE, Kind, Letter, argument_fields
from sewdsl.ir.op import ShapeMismatch
from sewdsl.light_dataclass import dataclass
from sewdsl.reporter import Reported
from sewdsl.source import Span

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_ERROR_SENTENCES = {
    "Input should be a valid integer": "must be a whole number",
    "Input should be a valid number": "must be a number",
    "Input should be a valid tuple": "must be a whole number, or two such as 3x5",
    "Input should be a valid boolean, unable to interpret input": "must be on or off (1 or 0)",
    "Input should": "must",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "greater than": "more than",
    "a valid ": "a ",
}
"""Words of pydantic, and ours."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class GivenArgument:
    """An argument as given: its value and where it is."""

    value: Any
    span: Span


def validate_arguments(
    model: type[Model],
    what: str,
    given: Mapping[str, GivenArgument],
    span: Span,
    path: tuple[str, ...] = (),
    said: Collection[str] = (),
) -> Reported[Model | None]:
    """An instance, or None with every problem.

    Args:
        what: What a message calls it, with an article: ``a convolution``.
        span: The whole call, for what is missing.
        said: Arguments that are there but wrong, which is said already.
    """
    fields = argument_fields(model)
    unknown = [name for name in given if name not in fields]
    found: list[Diagnostic] = []
    for name in unknown:
        place, known = given[name].span, ", ".join(fields) or "none"
        near = _decay_elsewhere(fields, name, given[name]) or advice(name, fields, place, f"its arguments: {known}")
        message = f"{what} has no argument '{name}'"
        found.append(Diagnostic("unknown-argument", Severity.ERROR, message, place, path=path, **near))
    try:
        instance = model.model_validate({name: item.value for name, item in given.items() if name in fields})
    except ValidationError as error:
        return Reported(None, (*found, *_describe(error, model, what, given, span, path, said)))
    return Reported(None if unknown or said else instance, tuple(found))


def _decay_elsewhere(fields: Collection[str], name: str, argument: GivenArgument) -> Advice | None:
    """What ``beta=0.9`` of snnTorch is here; None: it is another argument."""
    known = next((mine for mine in ("decay", "tau") if mine in fields), None)
    if name != "beta" or known is None:
        return None
    beta = argument.value
    number = isinstance(beta, int | float) and 0 <= beta < 1
    if known == "decay":
        written = f"decay={beta}"
        return {
            "help": f"its decay is the beta of snnTorch: write {written}",
            "fixes": (rename(argument.span, written),),
        }
    written = f"tau={1 / (1 - beta):.6g}" if number else "tau=1/(1 - beta)"
    hint = f"tau is 1/(1 - beta): write {written}; as in snnTorch, LIF1(decay={beta}) adds its whole input"
    return {"help": hint, "fixes": (rename(argument.span, written),) if number else ()}


def _describe(
    error: ValidationError,
    model: type[BaseModel],
    what: str,
    given: Mapping[str, GivenArgument],
    span: Span,
    path: tuple[str, ...],
    said: Collection[str],
) -> Iterator[Diagnostic]:
    seen = set(said)
    for problem in error.errors(include_url=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        if name in seen:
            continue
        seen.add(name)
        if name and name not in given and problem["type"] != "missing":
            continue  # it follows from another argument, of which the same is said
        letter = argument_name(model, name)
        if problem["type"] == "missing" and any(
            nearest_name(other, [name]) for other in given if other not in argument_fields(model)
        ):
            continue  # it is there, misspelled, and that is already said
        if problem["type"] == "missing":
            mark, hint = _letter(model, name), f"add {name} and its value"
            if mark is not None:
                hint = f"add '{mark}' and a number, e.g. {mark}3" if mark else "write the number right after the name"
            message = f"{what} needs its {name}"
            yield Diagnostic("missing-argument", Severity.ERROR, message, span, help=hint, path=path)
        elif name:
            place = given[name].span if name in given else span
            message, near = f"{letter} of {what} {_must(problem)}", _kinds_like(problem, place)
            if str(problem["input"]).casefold() in {"none", "null"}:
                near = {"help": "write 'none'", "fixes": ()}
            label = f"got {_shown(problem['input'])}"
            yield Diagnostic("invalid-argument", Severity.ERROR, message, place, label=label, path=path, **near)
        else:
            message = f"{what}: {problem['msg'].removeprefix('Value error, ')}"
            shown = ", ".join(f"{key}={_shown(item.value)}" for key, item in given.items())
            yield Diagnostic("invalid-argument", Severity.ERROR, message, span, label=f"got {shown}", path=path)


def argument_name(model: type[BaseModel], name: str) -> str:
    """How a message names an argument: ``kernel (k…)``, or ``'tau'``."""
    letter = _letter(model, name)
    if letter is None:
        return f"'{name}'"
    return f"{name} ({letter}…)" if letter else name


def _letter(model: type[BaseModel], name: str) -> str | None:
    info = argument_fields(model).get(name)
    return next((mark.letter for mark in info.metadata if isinstance(mark, Letter)), None) if info else None


def _must(problem: ErrorDetails) -> str:
    """pydantic's "Input should be …" as the rest of a sentence."""
    if family := _family(problem):
        return f"must be {'an' if family.__name__[0] in 'AEIOU' else 'a'} {family.__name__.lower()}"
    message = problem["msg"].removeprefix("Value error, ")
    for said, plainly in _ERROR_SENTENCES.items():
        message = message.replace(said, plainly)
    return message if message.startswith("must ") else f"is wrong: {message}"


def _family(problem: ErrorDetails) -> type[Kind] | None:
    """The family of kinds that an argument takes, where something else was given."""
    name = str(problem.get("ctx", {}).get("class_name"))
    families = {base.__name__: base for kind in CATALOGUE.values() for base in kind.__mro__ if issubclass(base, Kind)}
    return families.get(name) if problem["type"] == "model_type" else None


def _kinds_like(problem: ErrorDetails, place: Span) -> Advice:
    family = _family(problem)
    if family is None:
        return NO_ADVICE
    names = sorted(name for name, kind in CATALOGUE.items() if issubclass(kind, family))
    return advice(str(problem["input"]), names, place, f"known: {', '.join(names)}")


def _shown(value: object) -> str:
    if isinstance(value, Kind):
        return value.kind
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


# --- arguments that need not be written --------------------------------------------------------------------

Some = TypeVar("Some", bound=Kind)
CACHE_SIZE = 4096
"""Kinds whose omissions are remembered; networks have a few dozen."""


def redundant_arguments(
    kind: Some, settle: Callable[[Some], Some] | None = None, default: Kind | None = None
) -> tuple[str, ...]:
    """The arguments of which each can be left out, so that the same is read.

    Args:
        kind: With all its arguments.
        settle: Fills in what depends on the surroundings.
        default: Whose arguments fill in for what is left out, where it is of the same kind: the header's neuron.
    """
    without: Mapping[str, Some | None] = _without(kind, default)
    return tuple(name for name, left in without.items() if after_settling(left, settle) == kind)


def after_settling(read: Some | None, settle: Callable[[Some], Some] | None) -> Some | None:
    """What becomes of what is read in its surroundings; None if nothing does."""
    try:
        return read if read is None or settle is None else settle(read)
    except (ValidationError, ShapeMismatch):
        return None


@lru_cache(CACHE_SIZE)
def _without(kind: Any, default: Kind | None) -> Mapping[str, Any]:
    """For each argument, what is read if it is left out; None: it cannot be."""
    values = dict(kind)
    return {out: with_arguments(type(kind), {n: v for n, v in values.items() if n != out}, default) for out in values}


def with_arguments(family: type[Some], given: Mapping[str, Any], default: Kind | None) -> Some | None:
    """What becomes of the arguments that are written; None: they are not enough."""
    standing_in = dict(default) if default is not None and type(default).named() is family.named() else {}
    try:
        return family.model_validate({**standing_in, **given})
    except ValidationError:
        return None
