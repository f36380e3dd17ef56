"""The network: a frozen list of nodes in order of computation, each with its type, its span and the way to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from sewdsl.ir.op import Op
from sewdsl.ir.recipe import Recipe
from sewdsl.ir.settings import Expectation, Settings
from sewdsl.ir.signal import Signal
from sewdsl.source import BUILTIN, Span

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, slots=True)
class PathStep:
    """One step of the way to a node.

    Attributes:
        kind: ``repeat`` (a copy of a repeated sequence), ``block`` (a call), ``branch`` or ``shortcut`` (of a join).
        label: ``SEW Block`` for a block, else the kind.
        key: Its part of the ``state_dict`` key: ``repeat1.3``, ``sew_block1``, ``branch``.
        copy: Which copy, from 1, of a repeat.
        copies: How many copies.
        arguments: The values of a block's parameters, ``c128s2``.
        line: Where the user's text calls a block of its own; 0 for other steps. No part of what a network is.
    """

    kind: Literal["repeat", "block", "branch", "shortcut"]
    label: str
    key: str
    copy: int = 0
    copies: int = 0
    arguments: str = ""
    line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"copy {self.copy} of {self.copies}" if self.kind == "repeat" else self.label

    @property
    def where(self) -> str:
        """The step as diagnostics print it: ``My Block (line 9)`` for one of the user's own."""
        return f"{self} (line {self.line})" if self.line else str(self)


@dataclass(frozen=True, slots=True)
class Node:
    """One operation.

    Attributes:
        name: Unique, readable and stable; the prefix of its parameters in the ``state_dict``:
            ``repeat1.3.sew_block1.branch.conv2``.
        op: What it does.
        inputs: Indices of the nodes it reads, all smaller than its own; (branch, identity) for a join.
        output: The type of what it gives.
        path: The way to it through repeats, blocks and joins.
        span: Where it is written; for what is inside a block of the shipped library, the call.
    """

    name: str
    op: Op
    inputs: tuple[int, ...]
    output: Signal
    path: tuple[PathStep, ...] = ()
    span: Span = field(default=BUILTIN, compare=False, repr=False)

    @property
    def where(self) -> tuple[str, ...]:
        """The way as diagnostics print it: ``("body", "copy 3 of 7", "SEW Block", "MPk2s2p0")``."""
        return ("body", *(step.where for step in self.path), str(self.op).split("(", maxsplit=1)[0])


def group_by_step(
    nodes: Sequence[Node], indices: Sequence[int], depth: int
) -> Iterator[tuple[PathStep | None, list[int]]]:
    """Nodes in a row by the step of their ways at a depth; one whose way ends there is by itself."""

    def step(index: int) -> PathStep | int:
        path = nodes[index].path
        return path[depth] if depth < len(path) else index

    for key, group in groupby(indices, step):
        yield key if isinstance(key, PathStep) else None, list(group)


def readers(nodes: Sequence[Node]) -> tuple[tuple[int, ...], ...]:
    """For each node, the indices of those that read it."""
    found: list[list[int]] = [[] for _ in nodes]
    for index, node in enumerate(nodes):
        for source in node.inputs:
            found[source].append(index)
    return tuple(map(tuple, found))


@dataclass(frozen=True)
class Network:
    """A whole network. Node 0 is the input; every node's type is inferred from those before it.

    Attributes:
        name: As the file says, or the file's or string's own.
        nodes: In order of computation.
        output: Index of the node whose output is read out over time.
        settings: Everything else that the file fixes about the network, defaults resolved.
        recipe: How to train it, if the file says so.
        expectations: ``expect`` and ``claim`` lines.
    """

    name: str
    nodes: tuple[Node, ...]
    output: int
    settings: Settings
    recipe: Recipe | None = None
    expectations: tuple[Expectation, ...] = ()

    def inputs(self, node: Node) -> tuple[Signal, ...]:
        """The types of what a node reads."""
        return tuple(self.nodes[i].output for i in node.inputs)

    def parameters(self, node: Node) -> int:
        """Learnable parameters of one node."""
        return node.op.parameters(*self.inputs(node))

    def macs(self, node: Node) -> int:
        """Multiply-accumulates of one node, per time-step and sample."""
        return node.op.macs(*self.inputs(node))

    @cached_property
    def total_parameters(self) -> int:
        """Learnable parameters of the whole network."""
        return sum(map(self.parameters, self.nodes))

    @cached_property
    def total_macs(self) -> int:
        """Multiply-accumulates of the whole network, per time-step and sample."""
        return sum(map(self.macs, self.nodes))

    @cached_property
    def total_activations(self) -> int:
        """Numbers that all nodes together give, per time-step and sample."""
        return sum(node.output.elements for node in self.nodes)

    @cached_property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """For each node, the indices of those that read it."""
        return readers(self.nodes)

    def __repr__(self) -> str:
        size, T = "x".join(map(str, self.settings.input)), self.settings.steps
        counts = f"{self.total_parameters:,} parameters, {len(self) - 1:,} nodes"
        return f"<Network {self.name!r}: {size}, T = {T}, {counts}>"

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def validate(self) -> Network:
        """The network itself, if it is whole.

        Raises:
            ValueError: an input that is not before its reader, a name that stands twice, a type that does not
                follow from those before it, or no node at all.
        """
        names = {node.name for node in self.nodes}
        if len(names) != len(self.nodes) or not 0 <= self.output < len(self.nodes):
            message = f"network {self.name!r}: node names are not unique, or the output is not a node"
            raise ValueError(message)
        for index, node in enumerate(self.nodes):
            if any(not 0 <= i < index for i in node.inputs):
                message = f"{node.name}: reads a node that is not before it"
                raise ValueError(message)
            inferred = node.op.infer(*self.inputs(node))
            if inferred != node.output:
                message = f"{node.name}: says {node.output}, but {node.op} gives {inferred}"
                raise ValueError(message)
        return self

    def with_nodes(self, nodes: tuple[Node, ...]) -> Network:
        """A copy with other nodes, everything else kept."""
        return replace(self, nodes=nodes)

    def with_recipe(self, recipe: Recipe) -> Network:
        """A copy with another recipe."""
        return replace(self, recipe=recipe)

    def to_networkx(self) -> nx.DiGraph[str]:
        """The network as a graph of node names, with ``node`` on each and ``operand`` (0: branch) on each edge."""
        import networkx as nx  # noqa: PLC0415 -- a third of the start-up time of a command that needs no graph

        graph: nx.DiGraph[str] = nx.DiGraph(name=self.name)
        for node in self.nodes:
            graph.add_node(node.name, node=node)
        for node in self.nodes:
            for operand, source in enumerate(node.inputs):
                graph.add_edge(self.nodes[source].name, node.name, operand=operand)
        return graph
