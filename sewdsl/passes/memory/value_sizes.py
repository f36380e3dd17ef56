"""Sizes of all tensors of a training step, in bytes."""

from __future__ import annotations

from functools import cached_property
from typing import Literal, NamedTuple

from sewdsl.ir.network import Network
from sewdsl.ir.op import Neuron
from sewdsl.ir.recipe import Recipe
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.linear import Linear
from sewdsl.passes.plan import ExecutionContext, ExecutionPlan, PlannedStep, plan_execution
from sewdsl.passes.program import Program

WIDE, NARROW = 4, 2
"""Bytes of a 32-bit and of a 16-bit value."""

MACS_PER_ELEMENT = 40
"""Multiply-accumulates that take as long as reading, processing and writing one element."""


class TrainingLoad(NamedTuple):
    """Load of a training step."""

    samples: int
    """Batch size N."""
    mixed: bool = False
    """Whether layers compute in 16 bits."""
    states: int = 0
    """State tensors of the optimizer per weight tensor, including averaged and rounded weights."""
    steps: int | None = None
    """Number of time-steps. None: that of the network."""
    device: Literal["cpu", "cuda"] = "cpu"


def training_load(
    recipe: Recipe | None, samples: int | None = None, device: Literal["cpu", "cuda"] = "cpu"
) -> TrainingLoad:
    """Return the load of a training step with a recipe.

    Args:
        recipe: None: a step without an optimizer.
        samples: Batch size. None: that of the recipe, or 1.
    """
    if recipe is None:
        return TrainingLoad(samples or 1, device=device)
    mixed = recipe.precision != "32"
    states = recipe.optimizer.states + (recipe.ema is not None) + (recipe.quantize is not None)
    return TrainingLoad(samples or recipe.batch, mixed, states, recipe.T_train, device)


class LoopBytes(NamedTuple):
    """Memory of a loop in bytes, in addition to its operands and outputs."""

    kept: int
    """Saved values of all time-steps."""
    stacked: int
    """Outputs of all time-steps before they are concatenated, if not saved."""
    widest: int
    """Largest value of one time-step in the loop."""
    weights: int
    """Largest weight gradient of a layer, which is computed for each time-step and added to the sum."""


@dataclass(frozen=True)
class ValueSizes:
    """Sizes of the values of a program under a load."""

    program: Program
    load: TrainingLoad

    @property
    def network(self) -> Network:
        """Network of the program."""
        return self.program.network

    @property
    def T(self) -> int:  # noqa: N802 -- T in the papers
        """Number of time-steps."""
        return self.load.steps or self.network.settings.steps

    @cached_property
    def plan(self) -> ExecutionPlan:
        """Execution plan with all modules as built."""
        static = self.T > 1 and bool(self.network.static_inputs)
        context = ExecutionContext(self.T, self.load.samples, static, device=self.load.device)
        return plan_execution(self.program, context)

    @property
    def not_predicted(self) -> tuple[str, ...]:
        """Names of neurons without a kernel, which save an unknown number of intermediate values."""
        steps = ((node, node.op.equations) for node in self.network)
        # Kernels for CUDA have no vectors.
        cuda = self.load.device == "cuda"
        return tuple(
            node.name for node, step in steps if step and (not node.op.has_kernel or (cuda and step.law.has_vectors))
        )

    @cached_property
    def once(self) -> frozenset[int]:
        """Nodes with values of a single time-step."""
        # A static input has a single time-step.
        static = self.network.static_inputs if self.T > 1 else frozenset[int]()
        return frozenset({step.gives for step in self.plan.steps if step.once} | static)

    @cached_property
    def _widths(self) -> list[int]:
        """Bytes per element of each node's output."""
        # Under autocast, layers with weights return 16-bit values. Other layers keep the dtype of their inputs.
        widths: list[int] = []
        for node in self.network.nodes:
            weighted = self.load.mixed and isinstance(node.op, Conv | Linear)
            widths.append(NARROW if weighted else max((widths[i] for i in node.inputs), default=WIDE))
        return widths

    def elements(self, index: int, *, once: bool | None = None) -> int:
        """Return the number of elements of a node's output, or of its gradient.

        Args:
            once: Whether the tensor has a single time-step. None: as for the output.
        """
        once = index in self.once if once is None else once
        return self.network.nodes[index].output.elements * self.load.samples * (1 if once else self.T)

    def value(self, index: int, *, once: bool | None = None) -> int:
        """Return the size of a node's output in bytes."""
        return self.elements(index, once=once) * self._widths[index]

    def kept(self, index: int) -> int | None:
        """Return the size of a packed value in bytes, or None if the value is saved unchanged."""
        bits = self.plan.bits.get(index)
        # Rounded up to whole bytes.
        return None if bits is None else -(-self.elements(index) * bits // 8)

    def extra_saved(self, step: PlannedStep) -> int:
        """Return the bytes saved by a step in addition to values of nodes."""
        # One byte per maximum replaces the indices of PyTorch.
        if step.byte_places:
            return self.elements(step.gives)
        samples = self.load.samples * (1 if step.once else self.T)
        saved = [self.network.nodes[i].op.keeps(*self.network.inputs(self.network.nodes[i])) for i in step.nodes]
        return sum(
            item.bytes_per_step * samples + item.bytes_per_sample * self.load.samples + item.bytes_per_call
            for item in saved
        )

    def loop(self, step: PlannedStep) -> LoopBytes:
        """Return the memory of a loop."""
        nodes, inside = self.network.nodes, {*step.nodes}
        saved_nodes: set[int] = set()
        total = 0
        for i in step.nodes:
            node = nodes[i]
            saved = node.op.keeps(*self.network.inputs(node))
            saved_nodes |= {
                self._stored(node.inputs[position]) for position in saved.inputs if node.inputs[position] in inside
            }
            saved_nodes |= {self._stored(i)} if saved.output else set()
            total += (saved.bytes_per_step * self.T + saved.bytes_per_sample) * self.load.samples
            total += saved.bytes_per_call * self.T
            if isinstance(node.op, Neuron):  # the membrane potential before each time-step but the first is saved
                total += WIDE * self.elements(i, once=True) * (self.T - 1)
        total += sum(map(self.value, saved_nodes))
        stacked = sum(self.value(i) for i in step.outputs if self._stored(i) not in saved_nodes)
        widest = max(self.value(i) for i in step.nodes) // self.T
        weights = WIDE * max(self._parameters(i) for i in step.nodes)
        return LoopBytes(total, stacked, widest, weights)

    def _stored(self, index: int) -> int:
        """Return the node that stores the value of a node in a loop."""
        node = self.network.nodes[index]
        # Views and delays share the memory of their source.
        while node.stores_nothing:
            index = node.sources[0]
            node = self.network.nodes[index]
        return index

    def gives_on(self, step: PlannedStep) -> bool:
        """Return whether a step saves its own output."""
        node = self.network.nodes[step.gives]
        return node.op.keeps(*self.network.inputs(node)).output

    def weights(self, step: PlannedStep) -> int:
        """Return the size of the parameters of a step in bytes."""
        return WIDE * sum(map(self._parameters, step.nodes))

    def _parameters(self, index: int) -> int:
        """Return the number of parameters of a node's module. Each call of a part has a gradient before the sum."""
        node = self.network.nodes[index]
        return node.op.parameters(*self.network.inputs(node))

    @property
    def standing(self) -> dict[str, int]:
        """Memory allocated during the entire step in bytes, by purpose."""
        weights = WIDE * self.network.total_parameters
        # Under autocast, PyTorch caches 16-bit copies of the weights.
        copies = {"weights in 16 bits": weights // 2} if self.load.mixed else {}
        return {"weights": weights, "gradients of weights": weights, "optimizer": weights * self.load.states, **copies}

    def macs(self, step: PlannedStep) -> int:
        """Return the multiply-accumulates of a step for the whole batch."""
        steps = self.load.samples * (1 if step.once else self.T)
        return steps * sum(self.network.macs(self.network.nodes[i]) for i in step.nodes)

    def cost(self, step: PlannedStep) -> int:
        """Return the cost of recomputing a step, in multiply-accumulates."""
        return self.macs(step) + MACS_PER_ELEMENT * self.elements(step.gives)
