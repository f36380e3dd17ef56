"""Report sections on layers and on how the run was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.printed_values import format_value
from sewdsl.train.store.run_record import RunRecord


class LayerRow(NamedTuple):
    """A layer, its kind and size, and its share of all MACs in percent."""

    node: Node
    kind: str
    parameters: int
    macs: int
    share: str


def layer_rows(network: Network) -> Iterator[LayerRow]:
    """The rows of ``layers.html``."""
    for node in network.nodes[1:]:
        macs = network.macs(node)
        share = f"{100 * macs / network.total_macs:.1f}" if macs else ""
        yield LayerRow(node, str(node.op).partition("(")[0], network.parameters(node), macs, share)


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


def recipe(facts: RunRecord) -> dict[str, str]:
    """Every value in force, those of the header first."""
    header = dict(facts.network.settings) if facts.network else {}
    return _texts({**header, **facts.recipe})


def provenance(facts: RunRecord) -> dict[str, str]:
    """Versions, machine, seed, seconds: all of the result that is nowhere else."""
    said = {name: value for name, value in facts.result.items() if value is not None}
    rest = {name.replace("_", " "): value for name, value in said.items() if name not in SHOWN_ELSEWHERE}
    versions = facts.result.get("versions")
    return _texts({**rest, **(versions if isinstance(versions, dict) else {})})


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): _text(value) for name, value in values.items()}


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    if isinstance(value, list):
        return (
            ", ".join(" ".join(map(_text, part)) if isinstance(part, list) else _text(part) for part in value) or "none"
        )
    return format_value(value)
