"""Base class of the steps, and steps without computation."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from sewdsl.analysis.memory_plan import Format, Role
from sewdsl.integers.value import Integers, IntegerValue
from sewdsl.light_dataclass import dataclass


@dataclass(frozen=True)
class Step:
    """Computation of one value from earlier values of the same time-step.

    Attributes:
        name: Node of the network.
        inputs: Indices of the steps whose values are read.
    """

    role: ClassVar[Role] = "value"

    name: str
    inputs: tuple[int, ...]
    value: IntegerValue

    def compute(self, *values: Integers) -> Integers:
        """Return the result ``[N, H, W, C]``."""
        raise NotImplementedError(type(self).__name__)

    @property
    def format(self) -> Format:
        """Format in which the result is stored."""
        return self.value.format

    @property
    def elements(self) -> int:
        """Number of integers of a sample and time-step."""
        return self.value.elements


@dataclass(frozen=True)
class InputStep(Step):
    """Input of the network: pixels, or counts of events.

    Attributes:
        static: Whether the input is the same at each time-step.
        start: Index of the first element among the elements of all inputs.
    """

    role = "input"

    static: bool
    start: int = 0

    def compute(self, *values: Integers) -> Integers:
        flat = values[0].reshape(len(values[0]), -1)[:, self.start : self.start + self.elements]
        return flat.reshape(-1, *self.value.shape).astype(np.int64)


@dataclass(frozen=True)
class ConstantStep(Step):
    """Constants, which need no memory of the state. The input only states the number of samples.

    Attributes:
        numbers: ``[H, W, C]``.
    """

    role = "input"

    numbers: Integers

    def compute(self, *values: Integers) -> Integers:
        return np.broadcast_to(self.numbers, (len(values[0]), *self.value.shape))


@dataclass(frozen=True)
class View(Step):
    """Same integers in the same order, with another type."""

    role = "view"

    def compute(self, *values: Integers) -> Integers:
        return values[0].reshape(len(values[0]), *self.value.shape)


@dataclass(frozen=True)
class DelayStep(Step):
    """Value from ``steps`` time-steps before, zeros at first. The input can be a later step."""

    role = "delay"

    steps: int
