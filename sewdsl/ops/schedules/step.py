"""A learning rate that falls in steps, ``Step``."""

from __future__ import annotations

from pydantic import Field

from sewdsl.ir.kind import Positive
from sewdsl.ir.recipe import Schedule


class StepLR(Schedule, kind="Step"):
    """Multiplies the learning rate by gamma every so many epochs (Table 8).

    In a file: ``schedule Step(size=64, gamma=0.1)``::

        factor = gamma ^ ⌊epoch / size⌋

    Attributes:
        size: Epochs from one step to the next, >= 1.
        gamma: Factor of each step, > 0.
    """

    size: Positive
    gamma: float = Field(default=0.1, gt=0)

    def factor(self, epoch: int, epochs: int) -> float:
        """Gamma to the number of steps so far."""
        return self.gamma ** (epoch // self.size)
