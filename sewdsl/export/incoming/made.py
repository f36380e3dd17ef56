"""Kinds from arguments that come from elsewhere."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError

from sewdsl.export.incoming.draft import SourcePart
from sewdsl.ir.kind import Kind

Made = TypeVar("Made", bound=Kind)


def make_op(kind: type[Made], origin: SourcePart, **arguments: Any) -> Made:
    """A kind with arguments of another library.

    Raises:
        PartRefused: it does not take them.
    """
    try:
        return kind.model_validate(arguments)
    except ValidationError as error:
        said = error.errors()[0]
        where = ".".join(map(str, said["loc"]))
        message = f"{where}: {said['msg']}" if where else said["msg"]
        raise origin.refusal(f"has a value that {kind.kind} does not take: {message}") from None
