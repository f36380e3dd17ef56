"""How many bytes everything is in a training step."""

from __future__ import annotations

from functools import cached_property
from typing import Literal, NamedTuple

from sewdsl.ir.network import Network
from sewdsl.ir.op import Activation, Neuron
from sewdsl.ir.recipe import Recipe
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.linear import Linear
from sewdsl.passes.plan import ExecutionContext, ExecutionPlan, PlannedStep, plan_execution
from sewdsl.passes.program import Program

WIDE, NARROW = 4, 2
"""Bytes of a number, and of one of 16 bits."""

PER_NUMBER = 40
"""Multiply-accumulates in whose time a number is read, dealt with and written: neither is ever the whole of a step."""


class TrainingLoad(NamedTuple):
    """What a training step is given.

    Attributes:
        samples: At once, N.
        mixed: Whether layers work in 16 bits.
        states: Numbers that the optimizer keeps for each weight, and their average, if there is one.
        steps: Time-steps; None: the network's.
    """

    samples: int
    mixed: bool = False
    states: int = 0
    steps: int | None = None
    device: Literal["cpu", "cuda"] = "cpu"


def training_load(
    recipe: Recipe | None, samples: int | None = None, device: Literal["cpu", "cuda"] = "cpu"
) -> TrainingLoad:
    """What a recipe gives a step.

    Args:
        recipe: None: one that has no optimizer.
        samples: At once; None: as the recipe says, or one.
    """
    if recipe is None:
        return TrainingLoad(samples or 1, device=device)
    mixed = recipe.precision != "32"
    states = recipe.optimizer.states + (recipe.ema is not None)
    return TrainingLoad(samples or recipe.batch, mixed, states, recipe.T_train, device)


class LoopBytes(NamedTuple):
    """The bytes of a loop, in addition to those of what it reads and gives.

    Attributes:
        kept: Of all that is kept for its gradient, of all time-steps.
        stacked: Of what it gives, before time-steps are put together, as far as that is not kept.
        widest: Of the largest value in it, of one time-step.
        weights: Of the most parameters of one layer, whose gradient of a time-step is added to that of those before.
    """

    kept: int
    stacked: int
    widest: int
    weights: int


@dataclass(frozen=True)
class ValueSizes:
    """The bytes of a program's values under a load."""

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
    def plan(self) -> ExecutionPlan:
        """How it runs, with everything as it was built."""
        static = self.T > 1 and not self.network.nodes[0].output.varies
        context = ExecutionContext(self.T, self.load.samples, static, device=self.load.device)
        return plan_execution(self.program, context)

    @property
    def not_predicted(self) -> tuple[str, ...]:
        """The nodes of which more is kept than is known: neurons that no kernel runs, but one operation at a time."""
        ops = ((node.name, node.op) for node in self.network)
        return tuple(name for name, op in ops if isinstance(op, Activation) and op.equations and not op.has_kernel)

    @cached_property
    def once(self) -> frozenset[int]:
        """Nodes whose values are those of one time-step."""
        static = {0} if self.T > 1 and not self.network.nodes[0].output.varies else set()
        return frozenset({step.gives for step in self.plan.steps if step.once} | static)

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

    def kept(self, index: int) -> int | None:
        """Bytes of a value as integers of a few bits; None where it stays as it is."""
        bits = self.plan.bits.get(index)
        return None if bits is None else -(-self.numbers(index) * bits // 8)

    def aside(self, step: PlannedStep) -> int:
        """Bytes that a step keeps in addition to values."""
        if step.byte_places:
            return self.numbers(step.gives)
        samples = self.load.samples * (1 if step.once else self.T)
        keeps = [self.network.nodes[i].op.keeps(*self.network.inputs(self.network.nodes[i])) for i in step.nodes]
        return sum(each.bytes_per_step * samples + each.bytes_per_sample * self.load.samples for each in keeps)

    def loop(self, step: PlannedStep) -> LoopBytes:
        """What a loop takes."""
        nodes, inside = self.network.nodes, {*step.nodes}
        kept: set[int] = set()
        total = 0
        for i in step.nodes:
            node = nodes[i]
            saved = node.op.keeps(*self.network.inputs(node))
            kept |= {self._stored(node.inputs[place]) for place in saved.inputs if node.inputs[place] in inside}
            kept |= {self._stored(i)} if saved.output else set()
            total += (saved.bytes_per_step * self.T + saved.bytes_per_sample) * self.load.samples
            if isinstance(node.op, Neuron):  # the potential before each time-step
                total += WIDE * self.numbers(i)
        total += sum(map(self.value, kept))
        stacked = sum(self.value(i) for i in step.given if self._stored(i) not in kept)
        widest = max(self.value(i) for i in step.nodes) // self.T
        weights = WIDE * max(self.network.parameters(nodes[i]) for i in step.nodes)
        return LoopBytes(total, stacked, widest, weights)

    def _stored(self, index: int) -> int:
        """The node in whose memory the value of one in a loop is."""
        node = self.network.nodes[index]
        while node.stores_nothing:
            index = node.sources[0]
            node = self.network.nodes[index]
        return index

    def gives_on(self, step: PlannedStep) -> bool:
        """Whether it keeps its own output."""
        node = self.network.nodes[step.gives]
        return node.op.keeps(*self.network.inputs(node)).output

    def weights(self, step: PlannedStep) -> int:
        """Bytes of its parameters."""
        return WIDE * sum(self.network.parameters(self.network.nodes[i]) for i in step.nodes)

    @property
    def standing(self) -> dict[str, int]:
        """Bytes that are there all the time, by what they are."""
        weights = WIDE * self.network.total_parameters
        copies = {"weights in 16 bits": weights // 2} if self.load.mixed else {}
        return {"weights": weights, "gradients of weights": weights, "optimizer": weights * self.load.states, **copies}

    def macs(self, step: PlannedStep) -> int:
        """Multiply-accumulates of a step for the whole batch."""
        steps = self.load.samples * (1 if step.once else self.T)
        return steps * sum(self.network.macs(self.network.nodes[i]) for i in step.nodes)

    def cost(self, step: PlannedStep) -> int:
        """What it takes to compute a step again, in multiply-accumulates."""
        return self.macs(step) + PER_NUMBER * self.numbers(step.gives)
