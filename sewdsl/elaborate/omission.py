"""Arguments that need not be written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from sewdsl.ir.kind import Kind
from sewdsl.ir.op import Misfit

Some = TypeVar("Some", bound=Kind)


def goes_without_saying(
    kind: Some, name: str, settle: Callable[[Some], Some] | None = None, default: Mapping[str, Any] | None = None
) -> bool:
    """Whether the same becomes of a kind if one of its arguments is left out.

    Args:
        kind: With all its arguments.
        name: The argument.
        settle: Fills in what depends on the surroundings.
        default: What the header says in place of what is left out.
    """
    given = {**(default or {}), **{key: value for key, value in kind if key != name}}
    return reads_as(type(kind), given, settle) == kind


def reads_as(family: type[Some], given: Mapping[str, Any], settle: Callable[[Some], Some] | None = None) -> Some | None:
    """What becomes of arguments; None if they are not valid.

    Args:
        family: The class.
        given: The arguments that are written.
        settle: Fills in what depends on the surroundings.
    """
    try:
        made = family.model_validate(given)
        return made if settle is None else settle(made)
    except (ValidationError, Misfit):
        return None
