"""How many bytes everything is in a training step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from sewdsl.ir.network import Network
from sewdsl.ir.op import LinearNeuron
from sewdsl.ir.recipe import Recipe
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.max_pool import MaxPool
from sewdsl.passes.program import LARGE_VALUE_ELEMENTS, Program

WIDE, NARROW = 4, 2
"""Bytes of a number, and of one of 16 bits."""

TAPS = 256
"""Places of a window that a byte tells apart."""

PER_NUMBER = 40
"""Multiply-accumulates in whose time a number is read, dealt with and written: neither is ever the whole of a step."""


class TrainingLoad(NamedTuple):
    """What a training step is given.

    Attributes:
        samples: At once, N.
        mixed: Whether layers work in 16 bits.
        states: Numbers that the optimizer keeps for each weight.
        steps: Time-steps; None: the network's.
    """

    samples: int
    mixed: bool = False
    states: int = 0
    steps: int | None = None


def training_load(recipe: Recipe | None, samples: int | None = None) -> TrainingLoad:
    """What a recipe gives a step.

    Args:
        recipe: None: one that has no optimizer.
        samples: At once; None: as the recipe says, or one.
    """
    if recipe is None:
        return TrainingLoad(samples or 1)
    return TrainingLoad(samples or recipe.batch, recipe.precision != "32", recipe.optimizer.states, recipe.T_train)


class MemoryStep(NamedTuple):
    """Nodes that are computed in one go, with nothing stored between them.

    Attributes:
        nodes: Their indices, in order.
        operands: Indices of the nodes whose values it reads.
        keeps: Those of them whose values it keeps for its gradient.
        once: Whether it runs for one time-step of a static input.
    """

    nodes: tuple[int, ...]
    operands: tuple[int, ...]
    keeps: frozenset[int]
    once: bool

    @property
    def gives(self) -> int:
        """The node whose value it gives."""
        return self.nodes[-1]


@dataclass(frozen=True)
class ValueSizes:
    """The bytes of a program's values under a load.

    Attributes:
        program: What runs.
        load: On what.
    """

    program: Program
    load: TrainingLoad

    @property
    def network(self) -> Network:
        """What is computed."""
        return self.program.network

    @property
    def T(self) -> int:  # noqa: N802 -- the name of the axis
        """Time-steps."""
        return self.load.steps or self.network.settings.steps

    @cached_property
    def units(self) -> tuple[MemoryStep, ...]:
        """What runs at once, in order: steps of several nodes go one by one where their tensors are small."""
        network, found = self.network, []
        for step in self.program.steps:
            neuron = any(isinstance(network.nodes[i].op, LinearNeuron) for i in step.nodes)
            if len(step.nodes) == 1 or (neuron and (self.program.lean or self.large(step.nodes[0]))):
                found.append(MemoryStep(step.nodes, step.operands, step.keeps(network), step.once))
                continue
            for i in step.nodes:
                node = network.nodes[i]
                kept = frozenset(node.inputs[place] for place in node.op.keeps(*network.inputs(node)).inputs)
                found.append(MemoryStep((i,), node.inputs, kept, step.once))
        return tuple(found)

    @cached_property
    def once(self) -> frozenset[int]:
        """Nodes whose values are those of one time-step."""
        static = {0} if self.T > 1 and not self.network.nodes[0].output.varies else set()
        return frozenset({unit.gives for unit in self.units if unit.once} | static)

    @cached_property
    def _widths(self) -> list[int]:
        """Bytes of a number of each node's value: layers with weights give what they work in, others what they read."""
        widths: list[int] = []
        for node in self.network.nodes:
            weighted = self.load.mixed and isinstance(node.op, Conv | Linear)
            widths.append(NARROW if weighted else max((widths[i] for i in node.inputs), default=WIDE))
        return widths

    def numbers(self, index: int, *, once: bool | None = None) -> int:
        """How many numbers the value of a node is, or its gradient, which may be that of all time-steps."""
        once = index in self.once if once is None else once
        return self.network.nodes[index].output.elements * self.load.samples * (1 if once else self.T)

    def value(self, index: int, *, once: bool | None = None) -> int:
        """Bytes of a node's value."""
        return self.numbers(index, once=once) * self._widths[index]

    def large(self, index: int) -> bool:
        """Whether storing less of a value pays in any case, as read at all time-steps."""
        return self.numbers(index, once=False) >= LARGE_VALUE_ELEMENTS

    def kept(self, index: int) -> int | None:
        """Bytes of a value as integers of a few bits; None where it stays as it is."""
        bits = self.program.bits.get(index)
        if bits is None or not (self.program.lean or self.numbers(index) >= LARGE_VALUE_ELEMENTS):
            return None
        return -(-self.numbers(index) * bits // 8)

    def aside(self, unit: MemoryStep) -> int:
        """Bytes that a unit keeps in addition to values."""
        if self.fast(unit):
            return self.numbers(unit.gives)
        steps = self.load.samples * (1 if unit.once else self.T)
        keeps = [self.network.nodes[i].op.keeps(*self.network.inputs(self.network.nodes[i])) for i in unit.nodes]
        return sum(each.aside * steps + each.once * self.load.samples for each in keeps)

    def fast(self, unit: MemoryStep) -> bool:
        """Whether it is max pooling of large maps, which keeps a byte for each maximum."""
        op = self.network.nodes[unit.gives].op
        pools = isinstance(op, MaxPool) and op.kernel[0] * op.kernel[1] <= TAPS
        return (
            pools
            and self.program.channels_last
            and self.numbers(unit.operands[0], once=unit.once) >= LARGE_VALUE_ELEMENTS
        )

    def gives_on(self, unit: MemoryStep) -> bool:
        """Whether it keeps its own output."""
        node = self.network.nodes[unit.gives]
        return node.op.keeps(*self.network.inputs(node)).output

    def weights(self, unit: MemoryStep) -> int:
        """Bytes of its parameters."""
        return WIDE * sum(self.network.parameters(self.network.nodes[i]) for i in unit.nodes)

    @property
    def standing(self) -> dict[str, int]:
        """Bytes that are there all the time, by what they are."""
        weights = WIDE * self.network.total_parameters
        copies = {"weights in 16 bits": weights // 2} if self.load.mixed else {}
        return {"weights": weights, "gradients of weights": weights, "optimizer": weights * self.load.states, **copies}

    def macs(self, unit: MemoryStep) -> int:
        """Multiply-accumulates of a unit for the whole batch."""
        steps = self.load.samples * (1 if unit.once else self.T)
        return steps * sum(self.network.macs(self.network.nodes[i]) for i in unit.nodes)

    def cost(self, unit: MemoryStep) -> int:
        """What it takes to compute a unit again, in multiply-accumulates."""
        return self.macs(unit) + PER_NUMBER * self.numbers(unit.gives)
