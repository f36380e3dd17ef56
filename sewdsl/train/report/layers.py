"""Parameters and operations, layer by layer."""

from __future__ import annotations

from sewdsl.ir.network import Network, Node
from sewdsl.train.report.markup import Markup, tag
from sewdsl.train.report.verdict import format_short

COLUMNS = ("layer", "what it is", "output", "range", "parameters", "MACs", "share")


def layers_section(network: Network | None) -> list[Markup]:
    """A table of every layer behind a line with the totals."""
    if network is None:
        return []
    said = (
        f"{len(network) - 1:,} layers, {network.total_parameters:,} parameters, {format_short(network.total_macs)} MACs"
    )
    head = tag("tr", *(tag("th", title, scope="col") for title in COLUMNS))
    rows = [_row(network, node) for node in network.nodes[1:]]
    table = tag("table", tag("thead", head), tag("tbody", *rows, _total(network)), class_="plain layers")
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


def _total(network: Network) -> Markup:
    numbers = (tag("td", f"{n:,}", class_="number") for n in (network.total_parameters, network.total_macs))
    return tag("tr", tag("th", "total", scope="row"), *3 * [tag("td")], *numbers, tag("td"), class_="total")
