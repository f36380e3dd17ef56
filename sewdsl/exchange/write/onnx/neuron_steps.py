"""A time-step of neurons as equations in operations of ONNX: every operation has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray

from sewdsl.equations.step import NeuronStep
from sewdsl.equations.tape import STEP, TapeEntry, needed
from sewdsl.exchange.write.onnx.graph_builder import NodeScope
from sewdsl.snn.equations import Equations
from sewdsl.snn.kernels.equation_reference import factor_values

PLAIN = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "neg": "Neg",
    "abs": "Abs",
    "min": "Min",
    "max": "Max",
    "clip": "Clip",
    "round": "Round",
    "relu": "Relu",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "sin": "Sin",
    "cos": "Cos",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
}
"""Operations that ONNX has too; its Round is to the even number as well."""
COMPARED = {"less": "Less", "most": "LessOrEqual"}
Numbers = NDArray[Any]


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

    def alone(self, place: NodeScope, x: str) -> str:
        """What neurons without a state give, under the name of the node's value."""
        return place.last("Identity", self.write(place, x, [], {})[0])

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
        operands = [known[each.index] for each in entry.operands]
        if entry.operation == "detach":
            return operands[0]
        if entry.operation in PLAIN:
            return place.add(PLAIN[entry.operation], *operands)
        if entry.operation == "where":
            zero = place.numbers("zero", 0.0)
            return place.add("Where", place.add("Equal", operands[0], zero), operands[2], operands[1])
        if entry.operation == "fire":
            truth = place.add("GreaterOrEqual", operands[0], place.numbers("zero", 0.0))
        else:
            truth = place.add(COMPARED[entry.operation], *operands)
        return place.add("Cast", truth, to=place.graph.type)
