"""Tables of a network with a row per layer, or per block call."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.signal import Signal
from sewdsl.light_dataclass import dataclass


@dataclass(frozen=True)
class ListingRow:
    """A row of the table: a layer, or a block call with its layers."""

    path: str
    kind: str
    text: str
    """Canonical text with all arguments."""
    label: str
    """Text without named arguments, which are listed below the table."""
    signal: Signal
    parameters: int
    macs: int
    """Multiply-accumulates per time-step and sample."""


def layer_rows(network: Network) -> list[ListingRow]:
    """Return a row for each node."""
    return [_row(network, node) for node in network.drawn_nodes]


def _row(network: Network, node: Node) -> ListingRow:
    op, parameters, macs = node.op, network.parameters(node), network.macs(node)
    return ListingRow(node.name, op.kind, str(op), op.label, node.output, parameters, macs)


def block_rows(network: Network) -> Iterator[ListingRow]:
    """Yield a row for each node outside blocks, and for each block call."""
    for block, group in groupby(network.drawn_nodes, outermost_block):
        nodes = [*group]
        if block is None:
            yield from (_row(network, node) for node in nodes)
            continue
        path, title, text = block
        parameters, macs = sum(map(network.parameters, nodes)), sum(map(network.macs, nodes))
        # The output of a block call is that of its last node.
        yield ListingRow(path, title, text, text, nodes[-1].output, parameters, macs)


def outermost_block(node: Node) -> tuple[str, str, str] | None:
    """Return the path, title and call of the outermost block around a node."""
    for index, step in enumerate(node.path):
        if step.kind == "block":
            arguments = f" ({step.arguments})" if step.arguments else ""
            return ".".join(s.key for s in node.path[: index + 1]), step.label, f"{step.label}{arguments}"
    return None
