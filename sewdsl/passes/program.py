"""The program: a network's nodes in the steps in which they are computed.

Passes change programs, never networks: whatever they do, nodes keep their names, and with them their parameters.
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
"""What a convolution reads that may be computed from what is active in it."""


@dataclass(frozen=True, slots=True)
class ExecutionStep:
    """One or more nodes that are computed at once, or a loop.

    Attributes:
        nodes: Their indices, in order; the step gives the value of the last, unless it is a loop.
        operands: Indices of the nodes whose values it reads.
        once: Whether its value is the same at every time-step of a static input, and computed for one of them.
        loop: Of a loop, whose nodes are computed one time-step after the other: those whose values it gives, since they
            are read outside it. No pass changes a loop.
    """

    nodes: tuple[int, ...]
    operands: tuple[int, ...]
    once: bool = False
    loop: tuple[int, ...] = ()

    @property
    def given(self) -> tuple[int, ...]:
        """The nodes whose values it gives."""
        return self.loop or self.nodes[-1:]

    @property
    def gives(self) -> int:
        """The node whose value it gives; of a loop, the last."""
        return self.given[-1]

    def keeps(self, network: Network) -> frozenset[int]:
        """Nodes outside the step whose values it keeps for its gradient."""
        kept = (
            node.inputs[place]
            for node in (network.nodes[i] for i in self.nodes)
            for place in node.op.keeps(*network.inputs(node)).inputs
        )
        return frozenset(kept) - {*self.nodes}


@dataclass(frozen=True)
class Program:
    """Steps that compute a network.

    Attributes:
        channels_last: Whether maps are stored with the channels of a place side by side.
        bits: In how many bits a value of a node is kept for the backward pass, by the node's index; none: as it is.
        lean: Whether less is stored of small tensors too, where storing them would take less time.
        again: Nodes whose values are not kept for the backward pass but recomputed in it.
        events: Convolutions that may be computed from the active ones of their inputs, and what these are.
        exact: Whether their outputs are computed so only where every bit stays the same.
        winograd: Convolutions that may be computed by Winograd's algorithm.
    """

    network: Network
    steps: tuple[ExecutionStep, ...]
    channels_last: bool = False
    bits: Mapping[int, int] = field(default_factory=dict)
    lean: bool = False
    again: frozenset[int] = frozenset()
    events: Mapping[int, EventInput] = field(default_factory=dict)
    exact: bool = True
    winograd: frozenset[int] = frozenset()

    @classmethod
    def of(cls, network: Network) -> Program:
        """Every node by itself, and every loop."""
        if not network.graph.loops:
            return cls(network, tuple(ExecutionStep((i,), node.inputs) for i, node in enumerate(network.nodes) if i))
        return cls(network, tuple(_in_order(network)))

    def with_steps(self, steps: tuple[ExecutionStep, ...]) -> Program:
        """The same network in other steps."""
        return replace(self, steps=steps)

    def with_lean(self) -> Program:
        """The same program, sparing with small tensors too."""
        return replace(self, lean=True)

    def validate(self) -> Program:
        """The program itself, if it computes its network.

        Raises:
            ValueError: a node is computed twice or never, or a value is read before it is there.
        """
        known = {0}
        done: list[int] = []
        for step in self.steps:
            missing = set(step.operands) - known
            if missing:
                raise ValueError(f"step {step} reads {sorted(missing)}, which are not computed before it")
            inside = {i for node in step.nodes for i in self.network.nodes[node].inputs} - set(step.nodes)
            if inside != set(step.operands):
                raise ValueError(f"step {step} needs {sorted(inside)}")
            known.update(step.given)
            done += step.nodes
        if sorted(done) != list(range(1, len(self.network))) or not known.issuperset(self.network.output_indices):
            raise ValueError(f"network {self.network.name!r}: its steps do not compute every node once")
        return self


def _in_order(network: Network) -> Iterator[ExecutionStep]:
    """The steps of a network with loops, each as soon as what it reads is there, else in the order of the nodes."""
    loops = {loop[0]: loop for loop in network.graph.loops}
    unit = {member: first for first, loop in loops.items() for member in loop}  # a loop is computed with its first node
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for index, node in enumerate(network.nodes):
        own = unit.get(index, index)
        sorter.add(own, *({unit.get(i, i) for i in node.inputs} - {own}))
    sorter.prepare()
    ready: list[int] = []
    while sorter.is_active():
        for first in sorter.get_ready():
            heappush(ready, first)
        first = heappop(ready)
        if first in loops:
            yield _loop_step(network, loops[first])
        elif first:
            yield ExecutionStep((first,), network.nodes[first].inputs)
        sorter.done(first)


def _loop_step(network: Network, loop: tuple[int, ...]) -> ExecutionStep:
    inside = frozenset(loop)
    operands = dict.fromkeys(i for node in loop for i in network.nodes[node].inputs if i not in inside)
    given = tuple(
        node for node in loop if node in network.output_indices or not inside.issuperset(network.graph.consumers[node])
    )
    return ExecutionStep(loop, tuple(operands), loop=given)


Pass = Callable[[Program], tuple[Program, str]]
"""Gives a program that computes the same, and says in a sentence what it did; an empty one: nothing."""
