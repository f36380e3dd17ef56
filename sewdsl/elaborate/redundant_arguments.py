"""Arguments that need not be written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import ValidationError

from sewdsl.ir.kind import Kind
from sewdsl.ir.op import ShapeMismatch

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
