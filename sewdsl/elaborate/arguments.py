"""Arguments of a kind, from the text to a validated instance; every complaint points at the argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sewdsl.diagnostics import Diagnostics
from sewdsl.elaborate.suggestions import did_you_mean
from sewdsl.ir.kind import Letter
from sewdsl.source import Span

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Given:
    """An argument as given: its value and where it stands."""

    value: Any
    span: Span


def validate(  # noqa: PLR0913 -- what, from what, where, and how to say it
    model: type[Model],
    what: str,
    given: Mapping[str, Given],
    span: Span,
    diagnostics: Diagnostics,
    path: tuple[str, ...] = (),
) -> Model | None:
    """An instance, or None with every problem reported.

    Args:
        model: The pydantic class.
        what: What a message calls it, with an article: ``a convolution``.
        given: The arguments by name.
        span: The whole call, for what is missing.
        diagnostics: Where to report.
        path: The way to the call.
    """
    unknown = [name for name in given if name not in model.model_fields]
    for name in unknown:
        known = ", ".join(model.model_fields) or "none"
        diagnostics.report(
            "unknown-argument",
            f"{what} has no argument '{name}'",
            given[name].span,
            help=did_you_mean(name, model.model_fields) or f"its arguments: {known}",
            path=path,
        )
    try:
        instance = model.model_validate({name: item.value for name, item in given.items() if name not in unknown})
    except ValidationError as error:
        _report(error, model, what, given, span, diagnostics, path)
        return None
    return None if unknown else instance


def _report(  # noqa: PLR0913 -- as above
    error: ValidationError,
    model: type[BaseModel],
    what: str,
    given: Mapping[str, Given],
    span: Span,
    diagnostics: Diagnostics,
    path: tuple[str, ...],
) -> None:
    seen = set()
    for problem in error.errors(include_url=False, include_context=False):
        name = str(problem["loc"][0]) if problem["loc"] else ""
        if name in seen:
            continue
        seen.add(name)
        letter = spoken(model, name)
        if problem["type"] == "missing":
            hint = f"write {letter}" if letter != f"'{name}'" else f"write {name}=…"
            diagnostics.report("missing-argument", f"{what} needs its {name}", span, help=hint, path=path)
        elif name:
            place = given[name].span if name in given else span
            message = f"{letter} of {what} {_must(problem['msg'])}"
            diagnostics.report("invalid-argument", message, place, label=f"got {_shown(problem['input'])}", path=path)
        else:
            message = f"{what}: {problem['msg'].removeprefix('Value error, ')}"
            diagnostics.report("invalid-argument", message, span, path=path)


def spoken(model: type[BaseModel], name: str) -> str:
    """How a message names an argument: ``kernel (k…)``, or ``'tau'``."""
    info = model.model_fields.get(name)
    marks = [mark.letter for mark in info.metadata if isinstance(mark, Letter)] if info else []
    if not marks:
        return f"'{name}'"
    return f"{name} ({marks[0]}…)" if marks[0] else name


def _must(message: str) -> str:
    """pydantic's "Input should be …" as the rest of a sentence."""
    message = message.removeprefix("Value error, ")
    return message.replace("Input should", "must", 1) if message.startswith("Input should") else f"is wrong: {message}"


def _shown(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
