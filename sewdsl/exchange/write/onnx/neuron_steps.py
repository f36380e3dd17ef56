"""A time-step of neurons in operations of ONNX: every operation of equations has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

import torch
from numpy.typing import NDArray
from torch import nn

from sewdsl.equations.operations import COMPARISONS, OPERATIONS
from sewdsl.equations.step import NeuronStep
from sewdsl.equations.tape import STEP, Tape, TapeEntry, needed
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
    """H[t] = decay · V[t-1] + gain · X[t] + drift, and what follows; see :class:`sewdsl.ir.op.Neuron`."""

    decay: float
    gain: float
    drift: float
    rest: float
    v_threshold: float
    v_reset: float | None

    @classmethod
    def of(cls, node: Node, neuron: Neuron) -> LinearSteps:
        """With what it has learned, computed in float64.

        Raises:
            UnsupportedLayer: it charges in another way.
        """
        spec = neuron.spec
        if not isinstance(spec, LinearSpec):
            raise UnsupportedLayer(node, "charges by Python code that is not linear; write the neuron as equations")
        factors = spec.dynamics(**{name: value.detach().double() for name, value in neuron.learned.items()})
        decay, gain, drift = map(float, factors)
        return cls(decay, gain, drift, spec.rest, spec.v_threshold, spec.v_reset)

    @property
    def start(self) -> Mapping[str, float]:
        """The potential before the first time-step."""
        return {"": self.rest}

    @property
    def over_steps(self) -> Mapping[int, Numbers]:
        """No factor differs between time-steps."""
        return {}

    def write(
        self,
        place: NodeScope,
        x: str,
        states: Sequence[str],
        factors: Mapping[int, str],  # noqa: ARG002 -- it has none
    ) -> tuple[str, list[str]]:
        """As :meth:`EquationSteps.write`."""
        h = self.charge(place, self.drive(place, x), *states)
        fired, spikes = self.fire(place, h)
        return spikes, [self.reset(place, h, fired, spikes)]

    def drive(self, place: NodeScope, x: str) -> str:
        """gain · X + drift, for however many time-steps."""
        scaled = x if self.gain == 1 else place.add("Mul", x, place.numbers("gain", self.gain))
        return scaled if self.drift == 0 else place.add("Add", scaled, place.numbers("drift", self.drift))

    def charge(self, place: NodeScope, drive: str, v: str | None) -> str:
        """The name of H[t].

        Args:
            place: Where this goes.
            drive: Of the time-step.
            v: V[t-1]; None: rest.
        """
        if v is None and self.rest == 0:
            return drive
        v = v or place.numbers("rest", self.rest)
        kept = v if self.decay == 1 else place.add("Mul", v, place.numbers("decay", self.decay))
        return place.add("Add", kept, drive)

    def fire(self, place: NodeScope, h: str) -> tuple[str, str]:
        """The names of the spikes, as truths and as numbers."""
        fired = place.add("GreaterOrEqual", h, place.numbers("v_threshold", self.v_threshold))
        return fired, place.add("Cast", fired, to=place.graph.type)

    def reset(self, place: NodeScope, h: str, fired: str, spikes: str) -> str:
        """The name of V[t]."""
        if self.v_reset is not None:
            return place.add("Where", fired, place.numbers("v_reset", self.v_reset), h)
        return place.add("Sub", h, place.add("Mul", spikes, place.numbers("v_threshold", self.v_threshold)))


class EquationSteps(NamedTuple):
    """What neurons as equations compute, with what they have learned.

    Attributes:
        step: A time-step.
        factors: Factors that are the same at all time-steps, by index, of a shape that goes with ``[N, *]``.
        over_steps: Those that are not, with a leading axis of time-steps.
    """

    step: NeuronStep
    factors: Mapping[int, Numbers]
    over_steps: Mapping[int, Numbers]

    @classmethod
    def of(cls, module: Equations, shape: tuple[int, ...]) -> EquationSteps:
        """The equations of a layer that reads a shape; what it has learned is computed in float64."""
        step = module.spec.equations
        with torch.no_grad():
            learned = {name: value.detach().cpu().double() for name, value in module.learned.items()}
            values = factor_values(step, learned, module.spec.surrogate)
        same: dict[int, Numbers] = {}
        each: dict[int, Numbers] = {}
        for factor, value in zip(step.factors, values, strict=True):
            rows = value.reshape(len(value), -1, *[1] * (len(shape) - 1)).numpy()
            if len(rows) == 1:
                same[factor.index] = rows[0]
            else:
                each[factor.index] = rows
        return cls(step, same, each)

    @property
    def start(self) -> Mapping[str, float]:
        """The states before the first time-step."""
        return self.step.start

    def write(
        self, place: NodeScope, x: str, states: Sequence[str], factors: Mapping[int, str]
    ) -> tuple[str, list[str]]:
        """Puts a time-step into a graph; the names of what is given and of the states after it.

        Args:
            place: Where it goes.
            x: The input, ``[N, *]``.
            states: The states before it.
            factors: Those that differ from time-step to time-step.
        """
        step = self.step
        known = {step.x.index: x, **factors}
        known |= {leaf.index: state for leaf, state in zip(step.states, states, strict=True)}
        for entry in needed([step.given, *step.after], STEP):
            if entry.index not in known:
                known[entry.index] = self._written(place, entry, known)
        return known[step.given.index], [known[entry.index] for entry in step.after]

    def _written(self, place: NodeScope, entry: TapeEntry, known: Mapping[int, str]) -> str:
        if entry.number is not None:
            return place.numbers(f"number_{entry.index}", entry.number)
        if entry.index in self.factors:
            return place.numbers(f"factor_{entry.index}", self.factors[entry.index])
        return write_operation(place, entry, [known[each.index] for each in entry.operands])


def write_operation(place: NodeScope, entry: TapeEntry, operands: Sequence[str], *, last: bool = False) -> str:
    """Put the operation of a result into a graph, and return the name of the result.

    Args:
        last: Whether the result is the value of the node; of an operation that is no comparison.
    """
    add = place.last if last else place.add
    word = OPERATIONS[entry.operation].spelling.onnx
    if entry.operation == "detach":
        return operands[0]
    if entry.operation == "where":
        zero = place.numbers("zero", 0.0)
        return add("Where", place.add("Equal", operands[0], zero), operands[2], operands[1])
    if entry.operation == "fire":
        truth = place.add("GreaterOrEqual", operands[0], place.numbers("zero", 0.0))
    elif entry.operation in COMPARISONS:
        truth = place.add(word, *operands)
    else:
        return add(word, *operands)
    return place.add("Cast", truth, to=place.graph.type)


def write_join(place: NodeScope, spec: JoinSpec, branch: str, identity: str, *, last: bool) -> str:
    """g of two values; the last of several gives the node's value."""
    text = tapes.trace_join(spec, branch=True)
    if text is None:
        raise UnsupportedLayer(place.node, "computes more than plain arithmetic, and ONNX has no word for that")
    root, named = tapes.read_tape(Tape(), text), {"s": branch, "z": identity}
    known: dict[int, str] = {}
    for entry in needed([root]):
        if entry.operands:
            operands = [known[each.index] for each in entry.operands]
            known[entry.index] = write_operation(place, entry, operands, last=last and entry is root)
        elif entry.number is None:
            known[entry.index] = named[entry.operation]
        else:
            known[entry.index] = place.numbers(repr(entry.number), entry.number)
    return known[root.index]


def neuron_steps(node: Node, module: Neuron | Equations, shape: tuple[int, ...]) -> LinearSteps | EquationSteps:
    """What the neurons of a node compute in a time-step, for inputs of a shape.

    Raises:
        UnsupportedLayer: they do not charge linearly, and are no equations.
    """
    return LinearSteps.of(node, module) if isinstance(module, Neuron) else EquationSteps.of(module, shape)


def keeps_state(module: nn.Module) -> TypeGuard[Neuron | Equations]:
    """Whether a module is a layer of neurons with a state; those without one are equations of their input alone."""
    return isinstance(module, Neuron) or (isinstance(module, Equations) and bool(module.spec.equations.after))
