"""Validation of the arguments of a kind, and detection of redundant arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from sewdsl.diagnostics import Diagnostic
from sewdsl.ir.kind import CATALOGUE, Kind, Letter, argument_fields
from sewdsl.ir.op import ShapeMismatch
from sewdsl.ir.printed_values import format_value
from sewdsl.light_dataclass import dataclass
from sewdsl.reporter import Reported
from sewdsl.source import Span
from sewdsl.syntax.suggestions import NO_ADVICE, Advice, advice, advise_on_kind, nearest_name, rename, suggest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_ERROR_SENTENCES = {
    "Input should be a valid integer": "must be an integer",
    "Input should be a valid number": "must be a number",
    "Input should be a valid tuple": "must be an integer, or two, e.g. 3x5",
    "Input should be a valid boolean, unable to interpret input": "must be on or off (1 or 0)",
    "Input should be a valid boolean": "must be on or off",
    "Input should": "must",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "a valid ": "a ",
}
"""Replacements in the error messages of pydantic, applied in order."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class GivenArgument:
    """Value of an argument with its span."""

    value: Any
    span: Span


def validate_arguments(
    model: type[Model],
    what: str,
    given: Mapping[str, GivenArgument],
    span: Span,
    path: tuple[str, ...] = (),
    reported: Collection[str] = (),
) -> Reported[Model | None]:
    """Create an instance of a model from its arguments.

    Args:
        what: Name in messages, e.g. ``'LIF'`` in quotes or ``the recipe``.
        span: Span of the call, for missing arguments.
        reported: Names of arguments whose errors are already reported.

    Returns:
        None with diagnostics if an argument is missing or invalid.
    """
    fields = argument_fields(model)
    unknown = [name for name in given if name not in fields]
    diagnostics: list[Diagnostic] = []
    for name in unknown:
        argument_span, hint = given[name].span, f"known arguments: {', '.join(fields) or 'none'}"
        near = _advise_on_beta(fields, name, given[name]) or advice(name, fields, argument_span, hint)
        if issubclass(model, Kind) and name in model.letters():
            near = {"help": f"write it in compact form: {model.kind}{name}{_shown(given[name].value)}", "fixes": ()}
        message = f"{what} has no argument '{name}'"
        diagnostics.append(Diagnostic("unknown-argument", message, argument_span, path=path, **near))
    # Validate the known arguments even if others are unknown, to report all errors at once.
    try:
        instance = model.model_validate({name: item.value for name, item in given.items() if name in fields})
    except ValidationError as error:
        return Reported(None, (*diagnostics, *_describe(error, model, what, given, span, path, reported)))
    return Reported(None if unknown or reported else instance, tuple(diagnostics))


def _advise_on_beta(fields: Collection[str], name: str, argument: GivenArgument) -> Advice | None:
    """Return the equivalent of ``decay=0.9``, or ``beta=0.9`` in snnTorch, or None for another argument."""
    equivalent = next((field for field in ("decay", "tau") if field in fields), None)
    if name not in {"beta", "decay"} or equivalent is None:
        return None
    beta = argument.value
    in_range = isinstance(beta, int | float) and 0 <= beta < 1
    if equivalent == "decay":
        text = f"decay={beta}"
        return {"help": f"use {text}, which is beta in snnTorch", "fixes": (rename(argument.span, text),)}
    text = f"tau={1 / (1 - beta):.6g}" if in_range else "tau=1/(1 - beta)"
    hint = f"use {text}{f', which is 1/(1 - {name})' if in_range else ''}; LIF1(decay={beta}) does not scale the input"
    hint += ", as in snnTorch" if name == "beta" else ""
    return {"help": hint, "fixes": (rename(argument.span, text),) if in_range else ()}


def _describe(
    error: ValidationError,
    model: type[BaseModel],
    what: str,
    given: Mapping[str, GivenArgument],
    span: Span,
    path: tuple[str, ...],
    reported: Collection[str],
) -> Iterator[Diagnostic]:
    seen = set(reported)
    problems = error.errors(include_url=False)
    # Of two numbers such as 0x3, one is wrong: that they are not one number is no error.
    problems = [
        each for each in problems if each["type"] != "int_type" or not isinstance(each["input"], tuple)
    ] or problems
    for problem in problems:
        name = str(problem["loc"][0]) if problem["loc"] else ""
        if name in seen:
            continue
        seen.add(name)
        if name and name not in given and problem["type"] != "missing":
            continue  # The value follows from another argument, whose error is reported too.
        letter = argument_name(model, name)
        # A misspelled name, and a letter as a name, are already reported as unknown.
        mark = _letter(model, name)
        others = [other for other in given if other not in argument_fields(model)]
        if problem["type"] == "missing" and any(other == mark or nearest_name(other, [name]) for other in others):
            continue
        if problem["type"] == "missing":
            hint = _how_to_add(model, name)
            if mark is not None:
                hint = f"add '{mark}' and a number, e.g. {mark}3" if mark else "add the number right after the name"
            message = f"{what} requires '{name}'"
            yield Diagnostic("missing-argument", message, span, help=hint, path=path)
        elif name:
            argument_span = given[name].span if name in given else span
            message, near = f"{letter} of {what} {_must(problem)}", _kinds_like(problem, argument_span)
            # An argument that accepts numbers or words has an error for each.
            words = (each for each in problems if each["type"] == "literal_error" and each is not problem)
            message += "".join(f" or {each['ctx']['expected']}" for each in words if str(each["loc"][0]) == name)
            if isinstance(problem["input"], str) and problem["input"].casefold() in {"none", "null"}:
                near = {"help": "use 'none'", "fixes": ()}
            if name == "tau" and problem["type"] == "greater_than" and 0 < problem["input"] < 1:
                equivalent = f"tau={1 / (1 - problem['input']):.6g}"
                hint = f"for a decay of {_shown(problem['input'])}, use {equivalent}, which is 1/(1 - decay)"
                near = {"help": hint, "fixes": ()}
            if name == "shape" and problem["input"] == -1:
                near = {"help": "write all lengths, as none is inferred; Flatten returns a vector", "fixes": ()}
            if name == "channels" and isinstance(problem["input"], tuple):
                near = {"help": f"write the number of outputs only: {problem['input'][-1]}", "fixes": ()}
            got = _shown(problem["input"])
            label = f"got '{got}'" if isinstance(problem["input"], str | Kind) else f"got {got}"
            yield Diagnostic("invalid-argument", message, argument_span, label=label, path=path, **near)
        else:
            message = f"{what}: {problem['msg'].removeprefix('Value error, ')}"
            shown = ", ".join(f"{key}={_shown(item.value)}" for key, item in given.items())
            yield Diagnostic("invalid-argument", message, span, label=f"got {shown}", path=path)


def _how_to_add(model: type[BaseModel], name: str) -> str:
    """Return the help for a missing argument, with the first example of its kind in the catalogue."""
    if not issubclass(model, Kind):
        return f"add '{name}' and its value"
    value = r"[^)`]*" if name == model.unnamed() else rf"[^)`]*\b{name}=[^)`]*"
    example = re.search(rf"\b{model.kind}[\w.]*\({value}\)", model.__doc__ or "")
    return f"add '{name}', e.g. {example[0] if example else f'{model.kind}({name}=…)'}"


def argument_name(model: type[BaseModel], name: str) -> str:
    """Return the name of an argument for messages: ``kernel (k…)`` or ``'tau'``."""
    letter = _letter(model, name)
    if letter is None:
        return f"'{name}'"
    return f"{name} ({letter}…)" if letter else name


def _letter(model: type[BaseModel], name: str) -> str | None:
    info = argument_fields(model).get(name)
    return next((mark.letter for mark in info.metadata if isinstance(mark, Letter)), None) if info else None


def _must(problem: ErrorDetails) -> str:
    """Convert the message of pydantic, "Input should be …", to a predicate, "must be …"."""
    if family := _family(problem):
        return f"must be {family.noun_phrase()}"
    message = problem["msg"].removeprefix("Value error, ")
    for original, replacement in _ERROR_SENTENCES.items():
        message = message.replace(original, replacement)
    return message if message.startswith("must ") else f"is invalid: {message}"


def _family(problem: ErrorDetails) -> type[Kind] | None:
    """Return the family of kinds that an argument requires, if the error is a value of another type."""
    name = str(problem.get("ctx", {}).get("class_name"))
    families = {base.__name__: base for kind in CATALOGUE.values() for base in kind.__mro__ if issubclass(base, Kind)}
    return families.get(name) if problem["type"] == "model_type" else None


def _kinds_like(problem: ErrorDetails, place: Span) -> Advice:
    family = _family(problem)
    if problem["type"] == "literal_error":
        words, text = re.findall("'([^']*)'", problem["ctx"]["expected"]), str(problem["input"])
        # A number stands for the word that ends with it, and similar words with other numbers are no typing errors.
        ends = [word for word in words if word.strip("abcdefghijklmnopqrstuvwxyz") == text]
        has_numbers = any(word[-1:].isdigit() for word in words)
        near = ends[0] if len(ends) == 1 else nearest_name(text, words, 1.0 if has_numbers else 0.6)
        return suggest(text, near, place) if near else NO_ADVICE
    if family is None:
        return NO_ADVICE
    names = sorted(name for name, kind in CATALOGUE.items() if issubclass(kind, family))
    return advise_on_kind(str(problem["input"]), names, place)


def _shown(value: object) -> str:
    if isinstance(value, Kind):
        return value.kind
    return "x".join(map(str, value)) if isinstance(value, tuple) else format_value(value)


# --- redundant arguments -----------------------------------------------------------------------------------

Some = TypeVar("Some", bound=Kind)
CACHE_SIZE = 4096
"""Number of cached kinds. Networks have a few dozen."""


def redundant_arguments(
    kind: Some, settle: Callable[[Some], Some] | None = None, default: Kind | None = None
) -> tuple[str, ...]:
    """Return the names of arguments that can be omitted one at a time without changing the kind.

    Args:
        settle: Function that fills in arguments from the surroundings.
        default: Neuron of the header, whose arguments are defaults for kinds of its class.
    """
    without: Mapping[str, Some | None] = _without(kind, default)
    return tuple(name for name, reduced in without.items() if after_settling(reduced, settle) == kind)


def after_settling(kind: Some | None, settle: Callable[[Some], Some] | None) -> Some | None:
    """Return a kind with arguments from its surroundings, or None if it does not fit."""
    try:
        return kind if kind is None or settle is None else settle(kind)
    except (ValidationError, ShapeMismatch):
        return None


@lru_cache(CACHE_SIZE)
def _without(kind: Any, default: Kind | None) -> Mapping[str, Any]:
    """Return the kind without each of its arguments, or None for required ones."""
    values = dict(kind)
    return {out: with_arguments(type(kind), {n: v for n, v in values.items() if n != out}, default) for out in values}


def with_arguments(family: type[Some], given: Mapping[str, Any], default: Kind | None) -> Some | None:
    """Return a kind with the given and default arguments, or None if they are not sufficient."""
    defaults = dict(default) if default is not None and type(default).named() is family.named() else {}
    try:
        return family.model_validate({**defaults, **given})
    except ValidationError:
        return None
