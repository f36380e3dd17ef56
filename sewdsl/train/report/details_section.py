"""Report sections on layers and on how the run was made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.printed_values import format_value
from sewdsl.train.report.header_section import format_short
from sewdsl.train.report.html import Markup, tag
from sewdsl.train.store.run_record import RunRecord

COLUMNS = ("layer", "what it is", "output", "range", "parameters", "MACs", "share")


def layers_section(network: Network | None) -> list[Markup]:
    """A table of every layer, folded under a line with the totals."""
    if network is None:
        return []
    said = (
        f"{len(network) - 1:,} layers, {network.total_parameters:,} parameters, {format_short(network.total_macs)} MACs"
    )
    head = tag("tr", *(tag("th", title, scope="col") for title in COLUMNS))
    rows = [_row(network, node) for node in network.nodes[1:]]
    numbers = (tag("td", f"{n:,}", class_="number") for n in (network.total_parameters, network.total_macs))
    total = tag("tr", tag("th", "total", scope="row"), *3 * [tag("td")], *numbers, tag("td"), class_="total")
    table = tag("table", tag("thead", head), tag("tbody", *rows, total), class_="plain layers")
    note = "Multiply-accumulates of one time-step of one sample; the share is of all MACs."
    return [
        tag(
            "details",
            tag("summary", said),
            tag("p", note, class_="note"),
            tag("div", table, class_="wide", tabindex="0"),
        )
    ]


def _row(network: Network, node: Node) -> Markup:
    parameters, macs = network.parameters(node), network.macs(node)
    share = macs / network.total_macs if network.total_macs else 0.0
    bar = tag("span", tag("span", style=f"width:{100 * share:.1f}%"), class_="bar")
    return tag(
        "tr",
        tag("th", node.name, scope="row"),
        tag("td", str(node.op).partition("(")[0], title=str(node.op)),
        tag("td", node.output.size),
        tag("td", str(node.output.values)),
        tag("td", f"{parameters:,}" if parameters else "", class_="number"),
        tag("td", f"{macs:,}" if macs else "", class_="number"),
        tag("td", bar if macs else ""),
    )


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
    """Versions, machine, seed, seconds: all of the result that is nowhere else."""
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
