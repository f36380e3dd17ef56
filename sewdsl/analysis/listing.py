"""A network as lines of a table: one for each layer, or one for each call of a block."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.signal import Signal
from sewdsl.ir.structure import (
    BlockItem,
    DelayedItem,
    Items,
    LayerItem,
    LoopItem,
    MergeItem,
    ReadItem,
    RepeatItem,
    ValueItem,
    nodes,
)
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
    return _rows(network, network.nesting, "")


def _rows(network: Network, items: Items, prefix: str) -> Iterator[ListingRow]:
    for item in items:
        match item:
            case LayerItem(node):
                yield _row(network, network.nodes[node])
            case BlockItem(step):
                inside = [network.nodes[index] for index in nodes((item,))]
                text = f"{step.label} ({step.arguments})" if step.arguments else step.label
                parameters, macs = sum(map(network.parameters, inside)), sum(map(network.macs, inside))
                path = f"{prefix}{step.key}"
                yield ListingRow(path, step.label, text, text, inside[-1].output, parameters, macs)
            case MergeItem(node, operands, steps):
                for side, operand in zip(steps, operands, strict=True):
                    yield from _rows(network, operand, f"{prefix}{side.key}." if side else prefix)
                yield _row(network, network.nodes[node])
            case RepeatItem(steps, copies):
                for step, copy in zip(steps, copies, strict=True):
                    yield from _rows(network, copy, f"{prefix}{step.key}.")
            case ValueItem(step, inside):
                yield from _rows(network, inside, f"{prefix}{step.key}.")
            case LoopItem(node, delay, body, feedback, steps):
                ways = [f"{prefix}{step.key}." if step else prefix for step in steps]
                yield _row(network, network.nodes[delay])
                yield from _rows(network, feedback, ways[-1])
                yield _row(network, network.nodes[node])
                yield from _rows(network, body, ways[0])
            case ReadItem() | DelayedItem():
                pass  # only the view by edges has these


def outermost_block(node: Node) -> tuple[str, str, str] | None:
    """Path, title and call of the outermost block that a node is in."""
    for index, step in enumerate(node.path):
        if step.kind == "block":
            arguments = f" ({step.arguments})" if step.arguments else ""
            return ".".join(s.key for s in node.path[: index + 1]), step.label, f"{step.label}{arguments}"
    return None
