"""A network as lines of a table: one for each layer, or one for each call of a block."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.signal import Signal
from sewdsl.light_dataclass import dataclass


@dataclass(frozen=True)
class ListingRow:
    """A line of the table: a layer, or a block with all that is in it.

    Attributes:
        text: With every argument in force.
        label: Without those that need a name, which are listed once below the table.
        macs: Multiply-accumulates per time-step and sample.
    """

    path: str
    kind: str
    text: str
    label: str
    signal: Signal
    parameters: int
    macs: int


def layer_rows(network: Network) -> list[ListingRow]:
    """One row for each node."""
    return [_row(network, node) for node in network]


def _row(network: Network, node: Node) -> ListingRow:
    op, parameters, macs = node.op, network.parameters(node), network.macs(node)
    return ListingRow(node.name, op.kind, str(op), op.label, node.output, parameters, macs)


def block_rows(network: Network) -> Iterator[ListingRow]:
    """One row for each node outside blocks, and one for each call of a block."""
    for block, group in groupby(network, outermost_block):
        inside = [*group]
        if block is None:
            yield from (_row(network, node) for node in inside)
            continue
        path, title, text = block
        parameters, macs = sum(map(network.parameters, inside)), sum(map(network.macs, inside))
        yield ListingRow(path, title, text, text, inside[-1].output, parameters, macs)


def outermost_block(node: Node) -> tuple[str, str, str] | None:
    """Path, title and call of the outermost block that a node is in."""
    for index, step in enumerate(node.path):
        if step.kind == "block":
            arguments = f" ({step.arguments})" if step.arguments else ""
            return ".".join(s.key for s in node.path[: index + 1]), step.label, f"{step.label}{arguments}"
    return None
