"""Integer networks, and their reference computation in numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from sewdsl.analysis.memory_plan import BLOCKS, WIDTHS, WORD, MemoryPlan, plan_memory, stored_elements
from sewdsl.integers.steps.equations import EquationStep
from sewdsl.integers.steps.neuron import FiringStep
from sewdsl.integers.steps.step import DelayStep, InputStep, Step
from sewdsl.integers.value import Integers
from sewdsl.light_dataclass import dataclass

Watch: TypeAlias = Callable[[int, int, Integers], None]
"""Called with the time-step, the index of a step and its result. Potentials follow, at the index plus the steps."""


class BoundExceeded(Exception):
    """A value outside the range that was proven for it, which is a fault of sewdsl."""


class Readout(NamedTuple):
    """Output of a network.

    Attributes:
        name: Name of the output, or empty for a single output.
        bias: Integers added to the result at each time-step, ``[classes]``.
        unit: Value of the integer 1.
    """

    name: str
    step: int
    bias: Integers
    unit: float


@dataclass(frozen=True)
class IntegerNetwork:
    """Network of int8 weights and integer membrane potentials.

    Attributes:
        steps: Computation of a time-step, in order. The first one is the input.
        static: Whether all inputs are the same at each time-step.
        reduction: Reduction of the outputs over time. The mean is not divided by T.
        notes: Roundings that the weights alone do not show, for the user.
        hoist: Whether C files compute the layers before the first neurons once, if the network is static.
        packed: Whether C files store eight spikes in a byte.
    """

    name: str
    steps: tuple[Step, ...]
    readouts: tuple[Readout, ...]
    T: int
    static: bool
    reduction: Literal["mean", "sum", "last"]
    notes: tuple[str, ...] = ()
    hoist: bool = False
    packed: bool = False

    @property
    def neurons(self) -> Iterator[tuple[int, FiringStep]]:
        """Neuron layers, with their indices."""
        return ((index, step) for index, step in enumerate(self.steps) if isinstance(step, FiringStep))

    @property
    def inputs(self) -> list[InputStep]:
        """Inputs, in the order of the file."""
        return [step for step in self.steps if isinstance(step, InputStep)]

    @property
    def input_sizes(self) -> list[int]:
        """Number of integers of each input of a sample."""
        return [step.elements * (1 if step.static else self.T) for step in self.inputs]

    def by_sample(self, x: Integers) -> Integers:
        """Return the input of :meth:`run` as ``[N, integers]``, one input after another, as C files read it."""
        x = x[None] if self.static else x
        flat = x.reshape(*x.shape[:2], -1).swapaxes(0, 1)
        ends = [step.start + step.elements for step in self.inputs]
        parts = [flat[:, : 1 if s.static else None, s.start : end] for s, end in zip(self.inputs, ends, strict=True)]
        return np.concatenate([part.reshape(len(flat), -1) for part in parts], 1)

    @property
    def memory(self) -> MemoryPlan:
        """Places of the values of a time-step."""
        outputs = [readout.step for readout in self.readouts]
        return plan_memory(self.steps, outputs, hoist=self.hoist and self.static, packed=self.packed)

    @property
    def state_members(self) -> Iterator[tuple[int, int]]:
        """Bytes of an element and number of elements, of the potentials, the delays and the counter of time-steps."""
        yield from ((step.bits // 8, step.elements * step.states) for _, step in self.neurons if step.states)
        for _, step in self.delays:
            yield WIDTHS[BLOCKS[step.format]], stored_elements(step, packed=self.packed, steps=step.steps)
        if self.timed:
            yield WORD, 1

    @property
    def state_size(self) -> int:
        """Bytes of a state in C: potentials, delays, and the values within a time-step."""
        return self.memory.state_size(self.state_members)

    @property
    def timed(self) -> bool:
        """Whether constants depend on the time-step."""
        return any(isinstance(step, EquationStep) and step.instructions.timed for step in self.steps)

    @property
    def delays(self) -> Iterator[tuple[int, DelayStep]]:
        """Delays, with their indices."""
        return ((index, step) for index, step in enumerate(self.steps) if isinstance(step, DelayStep))

    def run(self, x: Integers, watch: Watch | None = None) -> Mapping[str, Integers]:
        """Return the integer outputs ``[N, classes]``, by name, or raise BoundExceeded.

        Args:
            x: Integer input ``[N, H, W, C]`` of a static network, otherwise ``[T, N, H, W, C]``. Elements of several
                inputs are consecutive: ``[N, elements]`` or ``[T, N, elements]``.
        """
        samples = x.shape[0 if self.static else 1]
        potentials = {index: step.start(samples) for index, step in self.neurons}
        delayed = {
            index: [np.zeros((samples, *step.value.shape), np.int64)] * step.steps for index, step in self.delays
        }
        totals: dict[str, Integers] = {}
        for t in range(self.T):
            values = self._time_step(t, x if self.static else x[t], potentials, delayed)
            delayed = {index: [*delayed[index][1:], values[step.inputs[0]]] for index, step in self.delays}
            if watch is not None:
                for index, value in enumerate(values):
                    watch(t, index, value)
                for index, potential in potentials.items():
                    watch(t, len(self.steps) + index, potential)
            for readout in self.readouts:
                y = values[readout.step].reshape(samples, -1) + readout.bias
                totals[readout.name] = y if self.reduction == "last" or not t else totals[readout.name] + y
        return totals

    def _time_step(
        self, t: int, x: Integers, potentials: dict[int, Integers], delayed: Mapping[int, Sequence[Integers]]
    ) -> list[Integers]:
        """Return the results of all steps, and update the potentials."""
        values: list[Integers] = []
        for index, step in enumerate(self.steps):
            if isinstance(step, InputStep):
                value = step.compute(x)
            elif isinstance(step, DelayStep):
                value = delayed[index][0]
            elif isinstance(step, FiringStep):
                value, potentials[index] = step.fire([values[i] for i in step.inputs], potentials[index], t)
                largest = int(np.abs(potentials[index]).max(initial=0))
                if largest > step.bound:
                    raise BoundExceeded(f"{step.name}: a potential of {largest} exceeds the bound {step.bound}")
            else:
                value = step.compute(*(values[i] for i in step.inputs))
            low, high = int(value.min()), int(value.max())
            if low < step.value.low or high > step.value.high:
                raise BoundExceeded(
                    f"{step.name}: {low}..{high} is outside the range {step.value.low}..{step.value.high}"
                )
            values.append(value)
        return values
