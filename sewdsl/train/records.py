"""Files of a run folder, read back: the folder may come from anywhere, so every value in them has bounds."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json, to_json

from sewdsl.paths import open_file

MAX_BYTES = 64 * 2**20
"""Bytes of a file that is read back; a longer one is damaged."""
MAX_COUNT = 2**53
"""Largest count: all integers up to it are exact in float64."""
MAX_TEXT = 2**18
"""Characters of a text: as many as the file of a network may have."""
MAX_THREADS = 4096
"""Threads of a run: far more of them end the process when torch starts them."""
MAX_SHOWN = 40
"""Characters of a value that a message quotes."""

Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Positive = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Seed = Annotated[int, Field(ge=0, lt=2**64)]
Threads = Annotated[int, Field(ge=1, le=MAX_THREADS)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=1e12)]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Word = Annotated[str, Field(min_length=1, max_length=10_000, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""Text of one line, which a terminal can print as it is."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Scalar = bool | Annotated[int, Field(gt=-(2**64), lt=2**64)] | float | Text | None

STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
"""A number in quotes is no number, nor is NaN."""

_EXPECTED = {
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected at least {ge}",
    "less_than": "expected less than {lt}",
    "less_than_equal": "expected at most {le}",
    "literal_error": "expected {expected}",
    "string_pattern_mismatch": "expected text that matches {pattern}",
    "string_too_short": "expected at least {min_length} characters",
    "string_too_long": "expected at most {max_length} characters",
    "too_long": "expected at most {max_length} values",
    "too_short": "expected at least {min_length} values",
    "value_error": "{error}",
}
"""What a field should be, by pydantic's type of an error; others say it in their message."""


class RecordError(ValueError):
    """A file of a run folder that no run has written so; the message names field, value, and what is expected."""


Contents = TypeVar("Contents", bound=BaseModel)


def contents(path: Path) -> bytes:
    """Read the bytes of a file, if they are not too many.

    Raises:
        OSError: If it cannot be read.
        RecordError: If it is longer than :data:`MAX_BYTES`.
    """
    with open_file(path) as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise RecordError(f"it has more than {MAX_BYTES:,} bytes")
    return data


def parse_record(data: bytes, model: type[Contents]) -> Contents:
    """Read a text of JSON into a model.

    Raises:
        RecordError: If it is no JSON, or a field is missing, unknown or out of bounds.
    """
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise RecordError(complaint(error.errors()[0])) from None


def salvage(data: bytes, model: type[BaseModel]) -> tuple[dict[str, Any], list[str]]:
    """Return the fields of a JSON object that are in bounds, by name, and what is wrong with the others.

    Args:
        model: What it should hold. Its bounds are those of single fields; if it allows others, they are scalars.
    """
    try:
        document = from_json(data)
    except ValueError as error:
        return {}, [f"invalid JSON: {error}"]
    if not isinstance(document, dict):
        return {}, [f"found {quoted(document)}, expected an object with fields"]
    fields, good = _fields(model), {}
    wrong = [
        f"'{name}' is missing"
        for name, info in model.model_fields.items()
        if info.is_required() and name not in document
    ]
    for name, value in document.items():
        field = fields.get(name) or (_SCALAR if model.model_config.get("extra") == "allow" else None)
        if field is None:
            wrong.append(f"'{named(name)}' is unknown")
            continue
        try:
            good[name] = field.validate_json(to_json(value, inf_nan_mode="constants"))
        except ValidationError as error:
            first = error.errors()[0]
            known = complaint({**first, "loc": (name, *first["loc"])})
            wrong.append(known if name in fields else f"'{named(name)}' is unknown")
    return good, wrong


@cache
def _fields(model: type[BaseModel]) -> dict[str, TypeAdapter[Any]]:
    """Return what each field of a model may hold."""
    adapters = {}
    for name, info in model.model_fields.items():
        bounded: Any = info.annotation
        for bound in info.metadata:
            bounded = Annotated[bounded, bound]
        adapters[name] = TypeAdapter[Any](bounded, config=STRICT)
    return adapters


_SCALAR = TypeAdapter[Any](Scalar, config=STRICT)


def complaint(error: ErrorDetails) -> str:
    """Return which field is wrong, what it holds, and what it should hold."""
    field = named(".".join(map(str, error["loc"])))
    kind, message = error["type"], error["msg"]
    if kind in _EXPECTED:
        limits = {name: f"{limit:.15g}" if isinstance(limit, float) else limit for name, limit in error["ctx"].items()}
        message = _EXPECTED[kind].format(**limits)
    if kind == "missing":
        return f"'{field}' is missing"
    if kind == "extra_forbidden":
        return f"'{field}' is unknown"
    if kind == "json_invalid" or not field:
        return message
    return f"{field} is {quoted(error['input'])}, {message.replace('Input should be', 'expected')}"


def quoted(value: Any) -> str:
    """Return a value as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def named(field: str) -> str:
    """Return the name of a field as a message has it: short, and of one line."""
    text = field if field.isprintable() else ascii(field)
    return text if len(text) <= 2 * MAX_SHOWN else f"{text[: 2 * MAX_SHOWN]}…"
