"""Layers and parts of a network by name: ``conv1``, ``sew_block3``, ``sew_block3.branch``, ``stem.*``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from sewdsl.ir.network import Network


def part_names(network: Network) -> Iterator[str]:
    """The names of all layers, each after those of the parts that it is the first layer of."""
    yield from dict.fromkeys(name for node in network.nodes[1:] for name in enclosing_parts(node.name))


def enclosing_parts(name: str) -> Iterator[str]:
    """The parts that a layer lies in, from the outermost, and the layer itself: ``a``, ``a.b``, ``a.b.conv1``."""
    steps = name.split(".")
    for depth in range(1, len(steps) + 1):
        yield ".".join(steps[:depth])


def match_nodes(network: Network, pattern: str) -> frozenset[int]:
    """Indices of the nodes that a pattern names, by themselves or by a part that they lie in; empty: it names none.

    Args:
        pattern: A name, in which ``*`` represents any characters, dots included, ``?`` one, and ``[…]`` one of several.
    """
    return frozenset(
        index
        for index, node in enumerate(network.nodes)
        if index and any(fnmatchcase(name, pattern) for name in enclosing_parts(node.name))
    )


def fold_parts(network: Network, nodes: Iterable[int], among: Iterable[int]) -> list[str]:
    """The names of nodes, those of a whole part as its one name, in order of computation.

    Args:
        among: Indices of the nodes that count: a part is whole if all of them that lie in it are there.
    """
    chosen = {network.nodes[index].name for index in nodes}
    broken = {
        part for index in among for part in enclosing_parts(network.nodes[index].name)
        if network.nodes[index].name not in chosen
    }  # fmt: skip
    found = (
        next(part for part in enclosing_parts(node.name) if part not in broken)
        for node in network.nodes
        if node.name in chosen
    )
    return [*dict.fromkeys(found)]
