"""The program: a network's nodes in the steps in which they are computed.

Passes change programs, never networks: whatever they do, nodes keep their names, and with them their parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from sewdsl.ir.network import Network


@dataclass(frozen=True, slots=True)
class ExecutionStep:
    """One or more nodes that are computed at once.

    Attributes:
        nodes: Their indices, in order; the step gives the value of the last.
        operands: Indices of the nodes whose values it reads.
        once: Whether its value is the same at every time-step of a static input, and computed for one of them.
    """

    nodes: tuple[int, ...]
    operands: tuple[int, ...]
    once: bool = False

    @property
    def gives(self) -> int:
        """The node whose value it gives."""
        return self.nodes[-1]

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
        network: What they compute.
        steps: In order.
        channels_last: Whether maps are stored with the channels of a place side by side.
        bits: In how many bits a value of a node is kept for the backward pass, by the node's index; none: as it is.
        lean: Whether less is stored of small tensors too, where storing them would take less time.
        again: Nodes whose values are not kept for the backward pass but recomputed in it.
    """

    network: Network
    steps: tuple[ExecutionStep, ...]
    channels_last: bool = False
    bits: Mapping[int, int] = field(default_factory=dict)
    lean: bool = False
    again: frozenset[int] = frozenset()

    @classmethod
    def of(cls, network: Network) -> Program:
        """Every node by itself."""
        return cls(network, tuple(ExecutionStep((i,), node.inputs) for i, node in enumerate(network.nodes) if i))

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
                message = f"step {step} reads {sorted(missing)}, which are not computed before it"
                raise ValueError(message)
            inside = {i for node in step.nodes for i in self.network.nodes[node].inputs} - set(step.nodes)
            if inside != set(step.operands):
                message = f"step {step} needs {sorted(inside)}"
                raise ValueError(message)
            known.add(step.gives)
            done += step.nodes
        if sorted(done) != list(range(1, len(self.network))) or self.network.output not in known:
            message = f"network {self.network.name!r}: its steps do not compute every node once"
            raise ValueError(message)
        return self


Pass = Callable[[Program], tuple[Program, str]]
"""Gives a program that computes the same, and says in a sentence what it did; an empty one: nothing."""
