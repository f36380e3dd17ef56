"""Programs: the nodes of a network, grouped into execution steps.

Passes change programs, never networks. Nodes therefore keep their names and parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from graphlib import TopologicalSorter
from heapq import heappop, heappush
from typing import Literal

from sewdsl.ir.network import Network
from sewdsl.light_dataclass import dataclass

EventInput = Literal["spikes", "counts"]
"""Input of a convolution that may skip inactive values."""


@dataclass(frozen=True, slots=True)
class ExecutionStep:
    """One or more nodes computed together, or a loop."""

    nodes: tuple[int, ...]
    """Node indices in order. The output of the step is the last node, unless the step is a loop."""
    operands: tuple[int, ...]
    """Indices of the nodes read by the step."""
    once: bool = False
    """Whether the output is computed for a single time-step: it is reduced over time, or constant over time for a
    static input."""
    loop: tuple[int, ...] = ()
    """For a loop, which is computed time-step by time-step, the nodes that are read outside it. Passes do not change
    loops."""

    @property
    def outputs(self) -> tuple[int, ...]:
        """Output nodes of the step."""
        return self.loop or self.nodes[-1:]

    @property
    def gives(self) -> int:
        """Output node of the step, or the last one of a loop."""
        return self.outputs[-1]

    def keeps(self, network: Network) -> frozenset[int]:
        """Return the nodes outside the step with values saved for its gradient."""
        saved = (
            node.inputs[position]
            for node in (network.nodes[i] for i in self.nodes)
            for position in node.op.keeps(*network.inputs(node)).inputs
        )
        return frozenset(saved) - {*self.nodes}


@dataclass(frozen=True)
class Program:
    """Execution steps of a network."""

    network: Network
    steps: tuple[ExecutionStep, ...]
    channels_last: bool = False
    """Whether feature maps are stored in channels-last memory format."""
    bits: Mapping[int, int] = field(default_factory=dict)
    """Bits per saved value, by node. Other values are saved unchanged."""
    lean: bool = False
    """Whether small tensors are fused and packed too, although storing them is faster."""
    recomputed: frozenset[int] = frozenset()
    """Nodes whose values are recomputed in the backward pass instead of saved."""
    events: Mapping[int, EventInput] = field(default_factory=dict)
    """Convolutions that may skip inactive inputs, with the kind of their input."""
    exact: bool = True
    """Whether their outputs must be bit-identical to dense convolutions."""
    winograd: frozenset[int] = frozenset()
    """Convolutions that may be computed with Winograd's algorithm."""

    @classmethod
    def of(cls, network: Network) -> Program:
        """Return the program with a step for every node and every loop."""
        if not network.graph.loops:
            first = network.first_layer
            return cls(network, tuple(_single_step(network, i) for i in range(first, len(network))))
        return cls(network, tuple(_in_order(network)))

    def with_steps(self, steps: tuple[ExecutionStep, ...]) -> Program:
        """Return a copy with other steps."""
        return replace(self, steps=steps)

    def with_lean(self) -> Program:
        """Return a copy with fused and packed small tensors."""
        return replace(self, lean=True)

    def validate(self) -> Program:
        """Return the program if it is valid.

        Raises:
            ValueError: If a node is computed twice or never, or if a value is read before it is computed.
        """
        available = {*self.network.input_indices}
        computed: list[int] = []
        for step in self.steps:
            missing = set(step.operands) - available
            if missing:
                raise ValueError(f"step {step} reads {sorted(missing)} before they are computed")
            # Operands are stored in the step, so that passes can reorder them. They must match the inputs of the nodes.
            inputs = {i for node in step.nodes for i in self.network.nodes[node].inputs} - set(step.nodes)
            if inputs != set(step.operands):
                raise ValueError(f"step {step}: expected operands {sorted(inputs)}")
            available.update(step.outputs)
            computed += step.nodes
        if sorted(computed) != list(range(self.network.first_layer, len(self.network))) or not available.issuperset(
            self.network.output_indices
        ):
            raise ValueError(f"network {self.network.name!r}: the steps must compute every node exactly once")
        return self


def _in_order(network: Network) -> Iterator[ExecutionStep]:
    """Yield the steps of a network with loops, in node order as far as the operands are available."""
    loops = {loop[0]: loop for loop in network.graph.loops}
    unit = {member: first for first, loop in loops.items() for member in loop}  # first node of the loop of each node
    # A loop reads nodes outside it that may come later than its first node, so node order is not sufficient.
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for index, node in enumerate(network.nodes):
        own = unit.get(index, index)
        sorter.add(own, *({unit.get(i, i) for i in node.inputs} - {own}))
    sorter.prepare()
    ready: list[int] = []
    # The heap yields the ready step of the first node, which keeps node order where possible.
    while sorter.is_active():
        for first in sorter.get_ready():
            heappush(ready, first)
        first = heappop(ready)
        if first in loops:
            yield _loop_step(network, loops[first])
        elif first >= network.first_layer:
            yield _single_step(network, first)
        sorter.done(first)


def _single_step(network: Network, index: int) -> ExecutionStep:
    return ExecutionStep((index,), network.nodes[index].inputs, once=index in network.reduced)


def _loop_step(network: Network, loop: tuple[int, ...]) -> ExecutionStep:
    inside = frozenset(loop)
    operands = dict.fromkeys(i for node in loop for i in network.nodes[node].inputs if i not in inside)
    # Values that are read only inside the loop are dropped after their time-step.
    outputs = tuple(
        node for node in loop if node in network.output_indices or not inside.issuperset(network.graph.consumers[node])
    )
    return ExecutionStep(loop, tuple(operands), loop=outputs)


Pass = Callable[[Program], tuple[Program, str]]
"""Function that returns a program with the same results, and a description of the changes for users."""
