"""Base class of the steps, and steps without computation."""

from __future__ import annotations

from sewdsl.integers.value import Format, Integers, IntegerValue
from sewdsl.light_dataclass import dataclass


@dataclass(frozen=True)
class Step:
    """Computation of one value from earlier values of the same time-step.

    Attributes:
        name: Node of the network.
        inputs: Indices of the steps whose values are read.
        value: Type of the result.
    """

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
    def is_view(self) -> bool:
        """Whether the result consists of the integers of the input, in the same order."""
        return False


@dataclass(frozen=True)
class InputStep(Step):
    """Input of the network: pixels, or counts of events."""


@dataclass(frozen=True)
class View(Step):
    """Same integers with another type."""

    def compute(self, *values: Integers) -> Integers:
        return values[0].reshape(len(values[0]), *self.value.shape)

    @property
    def is_view(self) -> bool:
        return True
