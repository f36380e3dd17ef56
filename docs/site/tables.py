"""Markdown tables, defaults of arguments in their cells, and families of kinds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sewdsl.ir.init_rules import InitRule
from sewdsl.ir.kind import Kind, argument_fields
from sewdsl.ir.op import Activation, Layer, Merge, Surrogate
from sewdsl.ir.printed_values import format_value
from sewdsl.ir.recipe import DelayWidth, Loss, Optimizer, Schedule, Transform
from sewdsl.ops.layers.pool import Pool

if TYPE_CHECKING:
    from pydantic import BaseModel

FAMILIES: dict[str, type[Kind]] = {
    "Layers": Layer,
    "Neurons and other activations": Activation,
    "Joins and other merges": Merge,
    "Surrogates": Surrogate,
    "Initial weights": InitRule,
    "Optimizers": Optimizer,
    "Schedules": Schedule,
    "Losses": Loss,
    "Widths of learned delays": DelayWidth,
    "Transforms of training samples": Transform,
}
"""Families of kinds by their heading in the catalogue."""


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table with escaped bars."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def default_text(model: type[BaseModel], name: str) -> str:
    """Return the default of an argument, or ``required``."""
    field = argument_fields(model)[name]
    # A validator replaces a missing stride by the kernel size.
    if issubclass(model, Pool) and name == "stride":
        return "kernel"
    if field.is_required():
        return "required"
    return f"`{format_value(field.get_default(call_default_factory=True, validated_data={}))}`"
