"""How the run was made: the recipe, and what it ran on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sewdsl.ir.words import format_value
from sewdsl.train.facts import RunRecord
from sewdsl.train.report.markup import Markup, tag

SHOWN_ELSEWHERE = {
    "network",
    "data",
    "accuracy",
    "best_accuracy",
    "interrupted",
    "parameters",
    "firing_rates",
    "neurons",
    "versions",
}


def recipe(facts: RunRecord) -> list[Markup]:
    """Every value in force, those of the header first."""
    header = dict(facts.network.settings) if facts.network else {}
    found = {**header, **facts.recipe}
    return [_list(found)] if found else []


def provenance_section(facts: RunRecord) -> list[Markup]:
    """Versions, machine, seed, seconds: all of the result that stands nowhere else."""
    said = {name: value for name, value in facts.result.items() if value is not None}
    rest = {name.replace("_", " "): value for name, value in said.items() if name not in SHOWN_ELSEWHERE}
    versions = facts.result.get("versions")
    found = {**rest, **(versions if isinstance(versions, dict) else {})}
    return [_list(found)] if found else []


def _list(values: Mapping[str, Any]) -> Markup:
    items = (tag("div", tag("dt", str(name)), tag("dd", _text(value))) for name, value in values.items())
    return tag("dl", *items)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    return ", ".join(map(_text, value)) if isinstance(value, list) else format_value(value)
