"""Time-steps of neurons as ONNX operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sewdsl.equations.operations import COMPARISONS, OPERATIONS
from sewdsl.equations.step import NeuronStep
from sewdsl.equations.tape import STEP, Tape, TapeEntry, Value, needed
from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.onnx.graph_builder import NodeScope
from sewdsl.ir.node import Node
from sewdsl.snn.equations import Equations
from sewdsl.snn.kernels.neuron import tapes
from sewdsl.snn.kernels.neuron.reference import factor_values
from sewdsl.snn.neuron import Neuron
from sewdsl.snn.protocols import JoinSpec, LinearSpec

Numbers = NDArray[Any]


class LinearSteps(NamedTuple):
    """H[t] = decay · V[t-1] + gain · X[t] + drift, firing and reset (see :class:`sewdsl.ir.op.Neuron`)."""

    decay: float
    gain: float
    drift: float
    rest: float
    v_threshold: float
    v_reset: float | None

    @classmethod
    def of(cls, node: Node, neuron: Neuron) -> LinearSteps:
        """Return the steps of a neuron with learned parameters in float64, or raise UnsupportedLayer if not linear."""
        spec = neuron.spec
        if not isinstance(spec, LinearSpec):
            raise UnsupportedLayer(node, "charges nonlinearly in Python code; define the neuron by equations")
        factors = spec.dynamics(**{name: value.detach().double() for name, value in neuron.learned.items()})
        decay, gain, drift = map(float, factors)
        return cls(decay, gain, drift, spec.rest, spec.v_threshold, spec.v_reset)

    @property
    def start(self) -> Mapping[str, Value]:
        """Initial membrane potential."""
        return {"": self.rest}

    @property
    def over_steps(self) -> Mapping[int, Numbers]:
        """Factors that differ between time-steps: none."""
        return {}

    def write(
        self,
        scope: NodeScope,
        inputs: Sequence[str],
        states: Sequence[str],
        factors: Mapping[int, str],  # noqa: ARG002 -- interface of EquationSteps
    ) -> tuple[str, list[str]]:
        """Append a time-step, see :meth:`EquationSteps.write`."""
        (x,) = inputs
        h = self.charge(scope, self.drive(scope, x), *states)
        fired, spikes = self.fire(scope, h)
        return spikes, [self.reset(scope, h, fired, spikes)]

    def drive(self, scope: NodeScope, x: str) -> str:
        """Append gain · X + drift, for any number of time-steps, and omit operations without effect."""
        scaled = x if self.gain == 1 else scope.add("Mul", x, scope.constant("gain", self.gain))
        return scaled if self.drift == 0 else scope.add("Add", scaled, scope.constant("drift", self.drift))

    def charge(self, scope: NodeScope, drive: str, v: str | None) -> str:
        """Append H[t] and return its name.

        Args:
            drive: Drive of the time-step.
            v: V[t-1]. None for the initial potential.
        """
        # In the first time-step, decay · V is 0.
        if v is None and self.rest == 0:
            return drive
        v = v or scope.constant("rest", self.rest)
        decayed = v if self.decay == 1 else scope.add("Mul", v, scope.constant("decay", self.decay))
        return scope.add("Add", decayed, drive)

    def fire(self, scope: NodeScope, h: str) -> tuple[str, str]:
        """Append firing, and return the names of the spikes as booleans and as numbers."""
        fired = scope.add("GreaterOrEqual", h, scope.constant("v_threshold", self.v_threshold))
        return fired, scope.add("Cast", fired, to=scope.graph.type)

    def reset(self, scope: NodeScope, h: str, fired: str, spikes: str) -> str:
        """Append V[t] and return its name."""
        if self.v_reset is not None:
            return scope.add("Where", fired, scope.constant("v_reset", self.v_reset), h)
        return scope.add("Sub", h, scope.add("Mul", spikes, scope.constant("v_threshold", self.v_threshold)))


class EquationSteps(NamedTuple):
    """Time-step of a neuron with equations, with its learned parameters."""

    step: NeuronStep
    factors: Mapping[int, Numbers]
    """Factors that are equal at all time-steps, by index, broadcastable to ``[N, *]``."""
    over_steps: Mapping[int, Numbers]
    """Factors that differ between time-steps, with a leading time axis."""

    @classmethod
    def of(cls, module: Equations, shape: tuple[int, ...]) -> EquationSteps:
        """Return the steps of a layer for an input shape."""
        step = module.spec.equations
        # float64, so that each factor is rounded once, in the end.
        with torch.no_grad():
            learned = {name: value.detach().cpu().double() for name, value in module.learned.items()}
            values = factor_values(step, learned, module.spec.surrogate)
        constant: dict[int, Numbers] = {}
        per_step: dict[int, Numbers] = {}
        for factor, value in zip(step.factors, values, strict=True):
            # Broadcastable to [N, C, ...]: one row per time-step, if the factor differs between them.
            # The axis of a vector precedes those of the input, as in states.
            length = (factor.width, 1) if factor.width > 1 else ()
            steps = value.movedim(-2, 0)
            rows = steps.reshape(len(steps), *length, -1, *[1] * (len(shape) - 1)).numpy()
            if len(rows) == 1:
                constant[factor.index] = rows[0]
            else:
                per_step[factor.index] = rows
        return cls(step, constant, per_step)

    @property
    def start(self) -> Mapping[str, Value]:
        """Initial states by name."""
        return self.step.start

    def write(
        self, scope: NodeScope, inputs: Sequence[str], states: Sequence[str], factors: Mapping[int, str]
    ) -> tuple[str, list[str]]:
        """Append a time-step, and return the names of the output and of the new states.

        Args:
            inputs: Inputs, ``[N, *]``.
        """
        step = self.step
        names = {leaf.index: name for leaf, name in zip((step.x, *step.more_inputs), inputs, strict=True)}
        names |= factors
        names |= {leaf.index: state for leaf, state in zip(step.states, states, strict=True)}
        for entry in needed([step.output, *step.after], STEP):
            if entry.index not in names:
                names[entry.index] = self._write_entry(scope, entry, names)
        # A state that is set to a number has the shape of the others: it is an output of the time-step. A single number
        # stands for all numbers of a vector.
        output, *after = (
            names[entry.index]
            if entry.level == STEP and entry.width == leaf.width
            else scope.add("Expand", names[entry.index], scope.add("Shape", like))
            for entry, leaf, like in zip(
                (step.output, *step.after), (step.x, *step.states), (inputs[0], *states), strict=True
            )
        )
        return output, after

    def _write_entry(self, scope: NodeScope, entry: TapeEntry, names: Mapping[int, str]) -> str:
        """Append a constant, a factor or an operation, and return its name."""
        if entry.number is not None:
            return scope.constant(f"number_{entry.index}", entry.number)
        if entry.index in self.factors:
            return scope.constant(f"factor_{entry.index}", self.factors[entry.index])
        return write_operation(scope, entry, [names[each.index] for each in entry.operands])


def write_operation(scope: NodeScope, entry: TapeEntry, operands: Sequence[str], *, last: bool = False) -> str:
    """Append the operation of a tape entry and return the name of its result.

    Args:
        last: Whether the result is the value of the node. Not supported for comparisons.
    """
    add = scope.add_output if last else scope.add
    onnx_op = OPERATIONS[entry.operation].spelling.onnx
    if entry.adds_up:
        return add("ReduceSum", operands[0], scope.graph.sizes(0), keepdims=0)
    if entry.operation == "detach":
        # Gradients are not exported.
        return operands[0]
    if entry.operation == "where":
        # Conditions are numbers. Equal is true where the condition is false, hence the order of the branches.
        zero = scope.constant("zero", 0.0)
        return add("Where", scope.add("Equal", operands[0], zero), operands[2], operands[1])
    if entry.operation == "fire":
        condition = scope.add("GreaterOrEqual", operands[0], scope.constant("zero", 0.0))
    elif entry.operation in COMPARISONS:
        condition = scope.add(onnx_op, *operands)
    else:
        return add(onnx_op, *operands)
    return scope.add("Cast", condition, to=scope.graph.type)


def write_join(scope: NodeScope, spec: JoinSpec, branch: str, identity: str, *, last: bool) -> str:
    """Append a join of two values. ``last``: the result is the value of the node."""
    tape_text = tapes.trace_join(spec, branch=True)
    if tape_text is None:
        raise UnsupportedLayer(scope.node, "computes more than plain arithmetic, which cannot be translated to ONNX")
    # The tape names the operands s and z.
    root, inputs = tapes.read_tape(Tape(), tape_text), {"s": branch, "z": identity}
    names: dict[int, str] = {}
    for entry in needed([root]):
        if entry.operands:
            operands = [names[each.index] for each in entry.operands]
            names[entry.index] = write_operation(scope, entry, operands, last=last and entry is root)
        elif entry.number is None:
            names[entry.index] = inputs[entry.operation]
        else:
            names[entry.index] = scope.constant(repr(entry.number), entry.number)
    return names[root.index]


def initial_state(scope: NodeScope, name: str, value: Value, shape: str) -> str:
    """Append the initial value of a state, and return its name.

    Args:
        shape: Name of the shape ``[N, *]``.
    """
    numbers = np.array(value)
    if numbers.ndim:
        # Broadcast to [W, N, *] by the shape [N, *].
        numbers = numbers.reshape(-1, *[1] * (1 + len(scope.shape)))
    return scope.add("Expand", scope.constant(name, numbers), shape)


def neuron_steps(node: Node, module: Neuron | Equations, shape: tuple[int, ...]) -> LinearSteps | EquationSteps:
    """Return the time-step of a node's neurons for an input shape.

    Raises:
        UnsupportedLayer: If the neurons do not charge linearly and have no equations.
    """
    return LinearSteps.of(node, module) if isinstance(module, Neuron) else EquationSteps.of(module, shape)


def keeps_state(module: nn.Module) -> TypeGuard[Neuron | Equations]:
    """Return whether a module has a state over time, or other numbers at each time-step.

    Other neurons are functions of their input.
    """
    if not isinstance(module, Equations):
        return isinstance(module, Neuron)
    step = module.spec.equations
    return bool(step.after) or any(learned.per_step for learned in step.learned.values())
