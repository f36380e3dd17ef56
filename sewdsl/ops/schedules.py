"""Schedules of learning rates, and of the width of learned delays."""

from __future__ import annotations

from math import cos, floor, pi
from typing import Literal

from pydantic import Field

from sewdsl.ir.kind import Natural, Positive
from sewdsl.ir.recipe import DelayWidth, Schedule


class Cosine(Schedule, kind="Cosine"):
    """Cosine annealing of the learning rate to zero (Table 7).

    In a file: ``schedule Cosine`` or ``schedule Cosine(T_max=64)``::

        factor = (1 + cos(π · epoch / T_max)) / 2
    """

    T_max: Positive | None = None
    """Epochs until zero, >= 1. The learning rate increases again afterwards. None: all epochs of the recipe."""

    def factor(self, epoch: int, epochs: int) -> float:
        # The cosine is periodic, so the factor increases after T_max.
        return (1 + cos(pi * epoch / (self.T_max or epochs))) / 2


class OneCycle(Schedule, kind="OneCycle"):
    """One cycle: the learning rate increases to its maximum, then decreases to almost zero (Smith and Topin 2019).

    In a file: ``schedule OneCycle`` or ``schedule OneCycle(pct_start=0.2)``. The learning rate changes with every
    optimizer step. PyTorch: ``OneCycleLR`` with two phases of cosine annealing and ``cycle_momentum=False``::

        first    1 / div_factor
        highest  1, after pct_start of all steps
        last     1 / (div_factor · final_div_factor)
    """

    each = "step"

    pct_start: float = Field(default=0.3, gt=0, lt=1)
    """Fraction of the steps with increasing learning rate, in (0, 1)."""
    div_factor: float = Field(default=25.0, ge=1)
    """Ratio of the maximum to the first learning rate, >= 1."""
    final_div_factor: float = Field(default=1e4, ge=1)
    """Ratio of the first to the last learning rate, >= 1."""

    def factor(self, epoch: int, epochs: int) -> float:
        """Return the factor of a step, which is constant after the last step.

        Args:
            epoch: Index of the step, from 0.
            epochs: Number of steps.
        """
        # As in PyTorch, the phases end at these steps, which need not be integers.
        peak, last = self.pct_start * epochs - 1, epochs - 1
        first, final = 1 / self.div_factor, 1 / (self.div_factor * self.final_div_factor)
        if epoch <= peak:
            return 1 + (first - 1) / 2 * (1 + cos(pi * epoch / peak)) if peak else 1.0
        progress = min((epoch - peak) / (last - peak), 1.0)
        return final + (1 - final) / 2 * (1 + cos(pi * progress))


class Plateau(Schedule, kind="Plateau"):
    """Reduction of the learning rate when the validation metric stops improving.

    In a file: ``schedule Plateau(gamma=0.1, patience=10)``. It requires ``validation 0.1`` or another fraction, so that
    training does not depend on the test set. PyTorch: ``ReduceLROnPlateau``.
    """

    by_validation = True

    monitor: Literal["loss", "accuracy"] = "loss"
    """Metric to improve: ``loss`` decreases, ``accuracy`` increases."""
    gamma: float = Field(default=0.1, gt=0, lt=1)
    """Factor of each reduction, in (0, 1)."""
    patience: Natural = 10
    """Epochs without improvement before a reduction."""
    threshold: float = Field(default=1e-4, ge=0, lt=1)
    """Minimum relative change that counts as an improvement, in [0, 1)."""
    cooldown: Natural = 0
    """Epochs to wait after a reduction before counting resumes."""
    min_lr: float = Field(default=0.0, ge=0)
    """Minimum learning rate, >= 0."""

    def factor(self, epoch: int, epochs: int) -> float:
        """Return 1, because later factors depend on the training."""
        return 1.0


class StepLR(Schedule, kind="Step"):
    """Multiplication of the learning rate by gamma every ``size`` epochs (Table 8).

    In a file: ``schedule Step(size=64, gamma=0.1)``::

        factor = gamma ^ ⌊epoch / size⌋
    """

    size: Positive
    """Epochs between steps, >= 1."""
    gamma: float = Field(default=0.1, gt=0)
    """Factor of each step, > 0."""

    def factor(self, epoch: int, epochs: int) -> float:
        return self.gamma ** (epoch // self.size)


class WarmRestarts(Schedule, kind="WarmRestarts"):
    """Cosine annealing to zero with warm restarts (Loshchilov and Hutter 2017).

    In a file: ``schedule WarmRestarts(T_0=10, T_mult=2)``. PyTorch: ``CosineAnnealingWarmRestarts``::

        factor = (1 + cos(π · t / T)) / 2        t: epochs since the last restart, T: T_0, T_0 · T_mult, T_0 · T_mult²,
        …
    """

    T_0: Positive
    """Epochs until the first restart, >= 1."""
    T_mult: Positive = 1
    """Ratio of the lengths of consecutive periods, >= 1."""

    def factor(self, epoch: int, epochs: int) -> float:
        length = self.T_0
        while epoch >= length:
            epoch, length = epoch - length, length * self.T_mult
            # With periods of equal length, a loop over all periods is not necessary.
            if self.T_mult == 1:
                epoch %= length
        return (1 + cos(pi * epoch / length)) / 2


class Shrink(DelayWidth, kind="Shrink"):
    """Exponential decrease of the width of learned delays (Hammouamri et al., ICLR 2024).

    In a file: ``delay_width Shrink(to=0.5, until=0.25)``, for networks with ``DFC``::

        width = first · (to / first) ^ min(1, epoch / ⌊until · epochs⌋)
    """

    to: float = Field(default=0.5, gt=0)
    """Last width in time-steps, > 0."""
    until: float = Field(default=0.25, gt=0, le=1)
    """Fraction of the epochs with decreasing width, in (0, 1]."""

    def width(self, first: float, epoch: int, epochs: int) -> float:
        last = max(1, floor(self.until * epochs))
        return first * float((self.to / first) ** min(1.0, epoch / last))
