"""Validation of the files in a run folder, which may come from untrusted sources: every value has bounds."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json, to_json

from sewdsl.paths import open_file

MAX_BYTES = 64 * 2**20
"""Maximum size of a file that is read, in bytes."""
MAX_COUNT = 2**53
"""Largest count: float64 represents all integers up to it exactly."""
MAX_TEXT = 2**18
"""Maximum length of a text, equal to that of a network's source."""
MAX_THREADS = 4096
"""Maximum number of threads of a run. With far larger numbers, torch ends the process."""
MAX_SHOWN = 40
"""Maximum length of a value quoted in a message."""

Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Positive = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Seed = Annotated[int, Field(ge=0, lt=2**64)]
Threads = Annotated[int, Field(ge=1, le=MAX_THREADS)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=1e12)]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Word = Annotated[str, Field(min_length=1, max_length=10_000, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""Text of one line, without control characters, safe to print on a terminal."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Scalar = bool | Annotated[int, Field(gt=-(2**64), lt=2**64)] | float | Text | None

STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
"""Rejects unknown fields, numbers in quotes, and NaN."""

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
"""Messages by the error type of pydantic. Other types keep pydantic's message."""


class RecordError(ValueError):
    """Invalid content of a file in a run folder."""


Contents = TypeVar("Contents", bound=BaseModel)


def contents(path: Path) -> bytes:
    """Read a file of limited size.

    Raises:
        OSError: If the file cannot be read.
        RecordError: If the file is larger than :data:`MAX_BYTES`.
    """
    with open_file(path) as file:
        # One more byte detects a larger file, without trusting the size that the system reports.
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise RecordError(f"the file is larger than {MAX_BYTES:,} bytes")
    return data


def parse_record(data: bytes, model: type[Contents]) -> Contents:
    """Parse JSON into a model, or raise RecordError for other texts and missing, unknown or unbounded fields."""
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise RecordError(complaint(error.errors()[0])) from None


def salvage(data: bytes, model: type[BaseModel]) -> tuple[dict[str, Any], list[str]]:
    """Return the valid fields of a JSON object by name, and messages about the invalid ones.

    Args:
        model: Expected fields. Each field is validated separately. Additional fields must be scalars if the model
            allows them.
    """
    try:
        document = from_json(data)
    except ValueError as error:
        return {}, [f"invalid JSON: {error}"]
    if not isinstance(document, dict):
        return {}, [f"expected an object with fields, got {quoted(document)}"]
    fields, valid = _fields(model), {}
    problems = [
        f"'{name}' is missing"
        for name, info in model.model_fields.items()
        if info.is_required() and name not in document
    ]
    for name, value in document.items():
        field = fields.get(name) or (_SCALAR if model.model_config.get("extra") == "allow" else None)
        if field is None:
            problems.append(f"'{named(name)}' is unknown")
            continue
        try:
            # NaN must reach the validator, which rejects it with a message.
            valid[name] = field.validate_json(to_json(value, inf_nan_mode="constants"))
        except ValidationError as error:
            first = error.errors()[0]
            message = complaint({**first, "loc": (name, *first["loc"])})
            problems.append(message if name in fields else f"'{named(name)}' is unknown")
    return valid, problems


@cache
def _fields(model: type[BaseModel]) -> dict[str, TypeAdapter[Any]]:
    adapters = {}
    for name, info in model.model_fields.items():
        bounded: Any = info.annotation
        # pydantic stores the bounds of a field separately from its type.
        for bound in info.metadata:
            bounded = Annotated[bounded, bound]
        adapters[name] = TypeAdapter[Any](bounded, config=STRICT)
    return adapters


_SCALAR = TypeAdapter[Any](Scalar, config=STRICT)


def complaint(error: ErrorDetails) -> str:
    """Return the message of a validation error: field, value and expectation."""
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
    """Return the ``repr`` of a value, shortened for messages."""
    text = repr(value)
    # The value comes from an untrusted file, and may be long.
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def named(field: str) -> str:
    """Return a field name for messages: shortened, and without control characters."""
    text = field if field.isprintable() else ascii(field)
    return text if len(text) <= 2 * MAX_SHOWN else f"{text[: 2 * MAX_SHOWN]}…"
