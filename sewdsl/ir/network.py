"""The network: a frozen list of nodes in order of computation, each with its type, its span and the way to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from sewdsl.ir.graph import Graph
from sewdsl.ir.node import Node, graph_of
from sewdsl.ir.op import JOIN_OPERANDS, KnowsSteps
from sewdsl.ir.recipe import Recipe
from sewdsl.ir.settings import Expectation, Settings
from sewdsl.ir.signal import Signal, widest_range
from sewdsl.ir.structure import Items, nesting
from sewdsl.ir.wiring import Sequences, wiring
from sewdsl.light_dataclass import dataclass

if TYPE_CHECKING:
    import networkx as nx

Value = TypeVar("Value")

MAX_RANGE_PASSES = 8
"""Passes that narrow the ranges of loops; after the last one, wider ranges are kept."""


@dataclass(frozen=True)
class Network:
    """A whole network. Node 0 is the input; every node's type is inferred from those before it.

    Attributes:
        name: As the file says, or the file's or string's own.
        output: Index of the node whose output is read out over time; of several, the last in order of computation.
        settings: Everything else that the file fixes about the network, defaults resolved.
        outputs: Of a network that gives several values, their names and the indices of their nodes, as written.
    """

    name: str
    nodes: tuple[Node, ...]
    output: int
    settings: Settings
    recipe: Recipe | None = None
    expectations: tuple[Expectation, ...] = ()
    outputs: tuple[tuple[str, int], ...] = ()

    @property
    def output_indices(self) -> tuple[int, ...]:
        """Indices of the nodes whose outputs are read out."""
        return tuple(dict.fromkeys(index for _, index in self.outputs)) or (self.output,)

    def name_outputs(self, values: Mapping[int, Value]) -> Value | dict[str, Value]:
        """What there is of each node that is read out: that of the only one, or of several by their names."""
        return {name: values[index] for name, index in self.outputs} if self.outputs else values[self.output]

    def inputs(self, node: Node) -> tuple[Signal, ...]:
        """The types of what a node reads."""
        return tuple(self.nodes[i].output for i in node.sources)

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
    def first_fixed(self) -> Node | None:
        """The first node with weights of one number of time-steps; None: it takes any number."""
        return next((node for node in self.nodes if node.op.fixed_steps), None)

    @cached_property
    def graph(self) -> Graph:
        """The edges: who reads what, and what every path leads through."""
        return graph_of(self.nodes)

    @cached_property
    def nesting(self) -> Items:
        """The items of the network as the paths of its nodes nest: blocks, repeats and merges, the input first."""
        return nesting(self.nodes)

    @cached_property
    def wiring(self) -> Sequences:
        """The sequences of the network by its edges alone: layers, merges and named values, without the input.

        Raises:
            UnstructuredError: a value does not reach the output, or merges nest too deep.
        """
        return wiring(self.graph, self.output_indices if self.outputs else self.output, self.sums)

    @property
    def sums(self) -> frozenset[int]:
        """The nodes that add two operands, which loops may begin with."""
        return frozenset(
            i for i, node in enumerate(self.nodes) if node.op.adds and len(node.inputs) == len(JOIN_OPERANDS)
        )

    def __repr__(self) -> str:
        size, T = "x".join(map(str, self.settings.input)), self.settings.steps
        counts = f"{self.total_parameters:,} parameters, {len(self) - 1:,} nodes"
        return f"<Network {self.name!r}: {size}, T = {T}, {counts}>"

    def _repr_html_(self) -> str:
        """Return the picture and the table that a notebook shows."""
        # Notebooks are above all other modules, which must not import them.
        html: str = import_module("sewdsl.notebook").network_html(self)
        return html

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def validate(self) -> Network:
        """The network itself, if it is whole.

        Raises:
            ValueError: an input that is not before its reader, a name that occurs twice, a type that does not
                follow from those before it, an op for another number of time-steps, a delay of a later node that it
                does not lead to, or no node at all.
        """
        names = {node.name for node in self.nodes}
        outputs = (self.output, *self.output_indices)
        if len(names) != len(self.nodes) or not all(0 <= index < len(self.nodes) for index in outputs):
            raise ValueError(f"network {self.name!r}: node names are not unique, or the output is not a node")
        for index, node in enumerate(self.nodes):
            if any(not 0 <= i < index for i in node.inputs):
                raise ValueError(f"{node.name}: reads a node that is not before it")
            if any(not 0 <= i < len(self.nodes) for i in node.sources):
                raise ValueError(f"{node.name}: delays what is no node")
            inferred = node.op.infer(*self.inputs(node))
            narrower = node.feeds_back and inferred.shape == node.output.shape
            if narrower and widest_range((node.output.values, inferred.values)) == node.output.values:
                inferred = node.output  # what is fed back may be taken for more values than there are
            if inferred != node.output:
                raise ValueError(f"{node.name}: says {node.output}, but {node.op} gives {inferred}")
            if isinstance(node.op, KnowsSteps) and node.op.steps != self.settings.steps:
                raise ValueError(f"{node.name}: {node.op} is not for the network's {self.settings.steps} time-steps")
        for index in sorted(self.graph.open_delays):
            raise ValueError(f"{self.nodes[index].name}: closes no loop, and so has to read what it delays")
        return self

    def in_evaluation(self) -> Network:
        """Return the network with the ops and the ranges of evaluation, in which dropout passes spikes unchanged.

        A delay in a loop has the range of the value that it delays, which is known only after a pass over all nodes.
        Every pass begins with ranges that hold, so that the ranges after it hold too, and may be narrower.
        """
        nodes = self.nodes
        for _ in range(MAX_RANGE_PASSES if self.graph.back_edges else 1):
            evaluated: list[Node] = []
            for node in nodes:
                sources = nodes if node.feeds_back else evaluated
                op = node.op.in_evaluation()
                output = op.infer(*(sources[i].output for i in node.sources))
                evaluated.append(replace(node, op=op, output=output))
            if nodes == (nodes := tuple(evaluated)):
                break
        return self.with_nodes(nodes)

    def with_nodes(self, nodes: tuple[Node, ...]) -> Network:
        """A copy with other nodes, everything else kept."""
        return replace(self, nodes=nodes)

    def with_recipe(self, recipe: Recipe) -> Network:
        """A copy with another recipe."""
        return replace(self, recipe=recipe)

    def to_networkx(self) -> nx.DiGraph[str]:
        """The network as a graph of node names, with ``node`` on each and ``operand`` (0: branch) on each edge.

        An edge into a delay in a loop leads backward.
        """
        import networkx as nx  # noqa: PLC0415 -- a third of the start-up time of a command that needs no graph

        graph: nx.DiGraph[str] = nx.DiGraph(name=self.name)
        for node in self.nodes:
            graph.add_node(node.name, node=node)
        for node in self.nodes:
            for operand, source in enumerate(node.sources):
                graph.add_edge(self.nodes[source].name, node.name, operand=operand)
        return graph
