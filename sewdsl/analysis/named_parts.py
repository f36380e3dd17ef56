"""Layers and groups of a network by name: ``conv1``, ``sew_block3``, ``sew_block3.branch``, ``stem.*``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node, enclosing_parts, innermost_part


def part_names(network: Network) -> Iterator[str]:
    """Yield the names of all layers and groups, a part before its first layer."""
    yield from dict.fromkeys(name for node in network.layers for name in enclosing_parts(node.name))


def parts_around(node: Node) -> Iterator[str]:
    """Yield the names of all parts that contain a node, and its own: ``one``, ``Eye``, ``Eye.conv1`` in ``let one``."""
    depth = innermost_part(node.path)
    prefix = ""
    for step in node.path[: max(depth - 1, 0)]:
        # The names inside a part begin with its key.
        prefix = step.key if step.kind == "part" or not prefix else f"{prefix}.{step.key}"
        yield prefix
    yield from enclosing_parts(node.name)


def match_nodes(network: Network, pattern: str) -> frozenset[int]:
    """Return the indices of the nodes whose name, or the name of a part around them, matches a pattern."""
    # Inputs have no parts and cannot be selected.
    return frozenset(
        index for index, node in enumerate(network.nodes) if index >= network.first_layer and node.is_in(pattern)
    )


def match_parameters(network: Network, pattern: str) -> frozenset[str]:
    """Return the keys of the parameters that match a pattern: ``dfc1.delay`` for ``*.delay``."""
    learning = (node for node in network.nodes if network.parameters(node))
    keys = (f"{node.name}.{name}" for node in learning for name in node.op.parameter_names())
    return frozenset(key for key in keys if fnmatchcase(key, pattern))


def fold_parts(network: Network, nodes: Iterable[int], among: Iterable[int]) -> list[str]:
    """Return the names of nodes in topological order, with the name of a part if all of its nodes are included.

    Args:
        among: Indices of the nodes that count as belonging to parts.
    """
    names = {network.nodes[index].name for index in nodes}
    # A part is folded only if all of its nodes are included.
    incomplete = {
        part for index in among for part in enclosing_parts(network.nodes[index].name)
        if network.nodes[index].name not in names
    }  # fmt: skip
    folded = (
        next(part for part in enclosing_parts(node.name) if part not in incomplete)
        for node in network.nodes
        if node.name in names
    )
    return [*dict.fromkeys(folded)]
