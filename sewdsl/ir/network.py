"""Networks: frozen lists of nodes in topological order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from importlib import import_module
from typing import TypeVar

from sewdsl.ir.graph import Graph
from sewdsl.ir.init_rules import InitRule
from sewdsl.ir.node import Node, graph_of
from sewdsl.ir.op import JOIN_OPERANDS, KnowsSteps, Op, WeightedLayer
from sewdsl.ir.parts import SharedPart, find_parts
from sewdsl.ir.recipe import Recipe
from sewdsl.ir.settings import Expectation, Settings
from sewdsl.ir.signal import Signal, widest_range
from sewdsl.ir.structure import Items, nesting
from sewdsl.ir.wiring import Sequences, wiring
from sewdsl.light_dataclass import dataclass

Value = TypeVar("Value")

MAX_RANGE_PASSES = 8
"""Passes that narrow the value ranges of loops, which may stay wider than necessary."""


@dataclass(frozen=True)
class Network:
    """A network. The signal of each node is inferred from its inputs.

    Node 0 is the input. If the inputs have names, node 0 has no elements, and the inputs are its readers, in order:
    every value then still depends on node 0.
    """

    name: str
    """Name in the file, or the name of the file or layer string."""
    nodes: tuple[Node, ...]
    output: int
    """Index of the output node, or of the last one in topological order."""
    settings: Settings
    """Other settings of the file, with defaults resolved."""
    recipe: Recipe | None = None
    expectations: tuple[Expectation, ...] = ()
    outputs: tuple[tuple[str, int], ...] = ()
    """Names and node indices of several outputs, in source order, or empty for a single output."""

    @property
    def input_indices(self) -> tuple[int, ...]:
        """Indices of the input nodes."""
        return tuple(range(1, len(self.settings.inputs) + 1)) or (0,)

    @property
    def first_layer(self) -> int:
        """Index of the first node after the inputs."""
        return len(self.settings.inputs) + 1

    @property
    def layers(self) -> tuple[Node, ...]:
        """All nodes after the inputs."""
        return self.nodes[self.first_layer :]

    @property
    def drawn_nodes(self) -> tuple[Node, ...]:
        """All nodes, without a node that only represents the named inputs."""
        return self.nodes[min(self.input_indices) :]

    @property
    def static_inputs(self) -> frozenset[int]:
        """Indices of the inputs that are equal at all time-steps."""
        return frozenset(i for i in self.input_indices if not self.nodes[i].output.varies)

    @cached_property
    def reduced(self) -> frozenset[int]:
        """Indices of the static values that are computed from reductions over time only, not from static inputs.

        They have one value per sample, and a batch norm counts each once, also if the input is a sequence.
        """
        reduced: set[int] = set()
        for index, node in enumerate(self.nodes):
            if not node.output.varies and (node.op.reduces_time or (node.inputs and reduced.issuperset(node.inputs))):
                reduced.add(index)
        return frozenset(reduced)

    @property
    def output_indices(self) -> tuple[int, ...]:
        """Indices of the output nodes."""
        # Two names may refer to the same node.
        return tuple(dict.fromkeys(index for _, index in self.outputs)) or (self.output,)

    @property
    def main_output(self) -> int:
        """Index of the output of the first loss of the recipe, or of the only output."""
        return dict(self.outputs).get(self.recipe.terms[0].output if self.recipe else "", self.output)

    @property
    def classified(self) -> tuple[str, ...]:
        """Names of the outputs that the recipe trains to output the class, the main one first. Empty: the only one."""
        return (
            tuple(dict.fromkeys(term.output for term in self.recipe.terms if not term.loss.target))
            if self.recipe
            else ("",)
        )

    def name_outputs(self, values: Mapping[int, Value]) -> Value | dict[str, Value]:
        """Return the value of the only output, or a dict of several outputs by name, from values by node index."""
        return {name: values[index] for name, index in self.outputs} if self.outputs else values[self.output]

    def inputs(self, node: Node) -> tuple[Signal, ...]:
        """Return the signals that a node reads."""
        return tuple(self.nodes[i].output for i in node.sources)

    def parameters(self, node: Node) -> int:
        """Return the number of learnable parameters of a node, or 0 if it uses the module of another node."""
        return self.op_with_init(node).parameters(*self.inputs(node)) if node.weights is None else 0

    def owner(self, node: Node) -> Node:
        """Return the node whose module a node uses: itself, or the one in the first call of its part."""
        return node if node.weights is None else self.nodes[node.weights]

    @cached_property
    def users(self) -> Mapping[int, tuple[int, ...]]:
        """Nodes that use the module of each node with several users, in order, by the index of the owner."""
        users: dict[int, list[int]] = {}
        for index, node in enumerate(self.nodes):
            if node.weights is not None:
                users.setdefault(node.weights, [node.weights]).append(index)
        return {owner: tuple(indices) for owner, indices in users.items()}

    def shared_name(self, node: Node) -> str:
        """Return the name of the owner if several nodes use the module of a node, or an empty text."""
        shared = node.weights is not None or any(self.nodes[index] is node for index in self.users)
        return self.owner(node).name if shared else ""

    def macs(self, node: Node) -> int:
        """Return the multiply-accumulate operations of a node, per time-step and sample."""
        return self.op_with_init(node).macs(*self.inputs(node))

    def op_with_init(self, node: Node) -> Op:
        """Return the op of a node with its rule of initial weights: that of its call, of its part, or of the file.

        Parameters and operations are counted with it, because a rule can leave out weights.
        """
        return self._ops_with_init.get(self.owner(node).name, node.op)

    def with_init_in_calls(self) -> Network:
        """Return the network with the rules of parts as arguments of layers, independent of names."""
        if not self.settings.part_init:
            return self
        plain = replace(self, settings=self.settings.model_copy(update={"part_init": ()}))
        nodes = ((node, self.op_with_init(node)) for node in self.nodes)
        rule = self.settings.rule
        return plain.with_nodes(
            tuple(node if getattr(op, "init", rule) in {None, rule} else replace(node, op=op) for node, op in nodes)
        )

    @cached_property
    def _ops_with_init(self) -> Mapping[str, Op]:
        """Ops whose rule of initial weights follows from the settings, by name of the node."""
        rules = (("*", self.settings.rule), *self.settings.part_init)
        if self.settings.init == "default" and len(rules) == 1:
            return {}
        ops: dict[str, Op] = {}
        for node in self.nodes:
            if isinstance(node.op, WeightedLayer) and node.op.init is None:
                suitable = (rule for pattern, rule in reversed(rules) if node.op.takes(rule) and node.is_in(pattern))
                rule = next(suitable, None)
                if rule is not None:
                    ops[node.name] = _with_rule(node.op, rule)
        return ops

    @cached_property
    def total_parameters(self) -> int:
        """Number of learnable parameters of the network."""
        return sum(map(self.parameters, self.nodes))

    @cached_property
    def total_macs(self) -> int:
        """Multiply-accumulate operations of the network, per time-step and sample."""
        return sum(map(self.macs, self.nodes))

    @cached_property
    def total_activations(self) -> int:
        """Number of elements of all node outputs, per time-step and sample."""
        return sum(node.output.elements for node in self.nodes)

    @cached_property
    def first_fixed(self) -> Node | None:
        """First node with weights for a single number of time-steps, or None."""
        return next((node for node in self.nodes if node.op.fixed_steps), None)

    @cached_property
    def graph(self) -> Graph:
        """Edges: consumers and dominators of the nodes."""
        return graph_of(self.nodes)

    @cached_property
    def nesting(self) -> Items:
        """Items nested by the paths of the nodes: blocks, repeats and merges, starting with the input."""
        return nesting(self.nodes)

    @cached_property
    def parts(self) -> Mapping[str, SharedPart]:
        """Parts by title, with their calls, in order of the first calls.

        Raises:
            UnstructuredError: If two calls of a part differ.
        """
        return find_parts(self.nodes)

    @cached_property
    def wiring(self) -> Sequences:
        """Sequences of the network inferred from its edges: layers, merges and named values, without the input.

        Raises:
            UnstructuredError: If a value does not reach the output, or if loops are nested too deeply.
        """
        return self.wiring_with(frozenset())

    def wiring_with(self, named: frozenset[int]) -> Sequences:
        """Return the sequences of the network, in which some nodes have names even if they are read once."""
        output = self.output_indices if self.outputs else self.output
        return wiring(self.graph, output, self.sums, self.long_delays, named)

    @property
    def long_delays(self) -> frozenset[int]:
        """Nodes that delay by several time-steps. Cycles through them are written with named values."""
        return frozenset(i for i, node in enumerate(self.nodes) if node.op.delay_steps > 1)

    @property
    def sums(self) -> frozenset[int]:
        """Nodes that add two operands, with which loops start."""
        return frozenset(
            i for i, node in enumerate(self.nodes) if node.op.adds and len(node.inputs) == len(JOIN_OPERANDS)
        )

    def __repr__(self) -> str:
        size, T = self.settings.input_text, self.settings.steps
        counts = f"{self.total_parameters:,} parameters, {len(self) - self.first_layer:,} nodes"
        return f"<Network {self.name!r}: {size}, T = {T}, {counts}>"

    def _repr_html_(self) -> str:
        # sewdsl.notebook imports all other packages, which must not import it.
        html: str = import_module("sewdsl.notebook").network_html(self)
        return html

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def validate(self) -> Network:
        """Return the network if it is valid.

        Raises:
            ValueError: If there are no nodes, names are not unique, an input is not an earlier node, a signal differs
                from the inferred signal, an op was built for another number of time-steps, the delayed source of a
                delay is a later node that does not depend on the delay, or a node cannot use the weights of its owner.
        """
        names = {node.name for node in self.nodes}
        outputs = (self.output, *self.output_indices)
        if len(names) != len(self.nodes) or not all(0 <= index < len(self.nodes) for index in outputs):
            raise ValueError(f"network {self.name!r}: node names are not unique, or the output is not a node")
        for index, node in enumerate(self.nodes):
            # Topological order makes forward passes and inference single loops.
            if any(not 0 <= i < index for i in node.inputs):
                raise ValueError(f"{node.name}: an input is not an earlier node")
            if any(not 0 <= i < len(self.nodes) for i in node.sources):
                raise ValueError(f"{node.name}: the delayed source is not a node")
            inferred = node.op.infer(*self.inputs(node))
            narrower = node.feeds_back and inferred.shape == node.output.shape
            if narrower and widest_range((node.output.values, inferred.values)) == node.output.values:
                # The range of a delayed source may be wider than necessary.
                inferred = node.output
            if inferred != node.output:
                raise ValueError(f"{node.name}: expected output {inferred} of {node.op}, got {node.output}")
            if isinstance(node.op, KnowsSteps) and node.op.steps != self.settings.steps:
                raise ValueError(
                    f"{node.name}: {node.op} does not match the network's {self.settings.steps} time-steps"
                )
            if node.weights is not None:
                self._check_owner(node, index)
        for index in sorted(self.graph.open_delays):
            raise ValueError(f"{self.nodes[index].name}: a delay outside a loop must read its source directly")
        return self

    def _check_owner(self, node: Node, index: int) -> None:
        """Raise ValueError if a node cannot use the module of its owner."""
        if node.weights is None or not 0 < node.weights < index:
            raise ValueError(f"{node.name}: the owner of its weights is not an earlier node")
        owner = self.nodes[node.weights]
        if owner.weights is not None or owner.op != node.op:
            raise ValueError(f"{node.name}: {owner.name} has no weights of {node.op}")
        if owner.op.weights_key(*self.inputs(owner)) != node.op.weights_key(*self.inputs(node)):
            raise ValueError(f"{node.name}: the weights of {owner.name} do not fit its input")

    def in_evaluation(self) -> Network:
        """Return the network in evaluation mode: ops as in evaluation, with the value ranges that follow.

        For example, dropout passes spikes unchanged.
        """
        nodes = self.nodes
        # The range of a delay in a loop follows from a later node, so one pass is not enough. Each pass starts with
        # ranges that contain all values, and returns ranges that do too and may be narrower.
        for _ in range(MAX_RANGE_PASSES if self.graph.back_edges else 1):
            evaluated: list[Node] = []
            for node in nodes:
                sources = nodes if node.feeds_back else evaluated
                op = node.op.in_evaluation()
                output = op.infer(*(sources[i].output for i in node.sources))
                evaluated.append(replace(node, op=op, output=output))
            # Ranges that no longer change are a fixed point.
            if nodes == (nodes := tuple(evaluated)):
                break
        return self.with_nodes(nodes)

    def with_nodes(self, nodes: tuple[Node, ...]) -> Network:
        """Return a copy with the given nodes."""
        return replace(self, nodes=nodes)

    def with_recipe(self, recipe: Recipe) -> Network:
        """Return a copy with the given recipe."""
        return replace(self, recipe=recipe)


@lru_cache(maxsize=4096)
def _with_rule(op: WeightedLayer, rule: InitRule) -> Op:
    # Cached, because many layers of a network are equal and validation is slow.
    return op.replace(init=rule)
