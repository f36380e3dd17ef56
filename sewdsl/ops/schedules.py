"""Schedules of the learning rate."""

from __future__ import annotations

from math import cos, pi
from typing import Literal

from pydantic import Field

from sewdsl.ir.kind import Natural, Positive
from sewdsl.ir.recipe import Schedule


class Cosine(Schedule, kind="Cosine"):
    """Lets the learning rate fall from its value to zero, slowly at both ends (Table 7).

    In a file: ``schedule Cosine`` or ``schedule Cosine(T_max=64)``::

        factor = (1 + cos(π · epoch / T_max)) / 2

    Attributes:
        T_max: Epochs until zero, >= 1; it rises again after that. None: all epochs of the recipe.
    """

    T_max: Positive | None = None

    def factor(self, epoch: int, epochs: int) -> float:
        return (1 + cos(pi * epoch / (self.T_max or epochs))) / 2


class OneCycle(Schedule, kind="OneCycle"):
    """Raises the learning rate to that of the optimizer, and lets it fall to nearly nothing (Smith and Topin 2019).

    In a file: ``schedule OneCycle`` or ``schedule OneCycle(pct_start=0.2)``. It changes with every step of the
    optimizer, as ``OneCycleLR`` of torch, of which this is two phases along half a cosine, ``cycle_momentum=False``::

        first    1 / div_factor
        highest  1, after pct_start of all steps
        last     1 / (div_factor · final_div_factor)

    Attributes:
        pct_start: Share of the steps in which it rises, in (0, 1).
        div_factor: By what it is lower at first, >= 1.
        final_div_factor: By what the last is lower than the first, >= 1.
    """

    each = "step"

    pct_start: float = Field(default=0.3, gt=0, lt=1)
    div_factor: float = Field(default=25.0, ge=1)
    final_div_factor: float = Field(default=1e4, ge=1)

    def factor(self, epoch: int, epochs: int) -> float:
        """Of a step, counted from 0, of so many; after the last it stays."""
        peak, last = self.pct_start * epochs - 1, epochs - 1
        low, least = 1 / self.div_factor, 1 / (self.div_factor * self.final_div_factor)
        if epoch <= peak:
            return 1 + (low - 1) / 2 * (1 + cos(pi * epoch / peak)) if peak else 1.0
        done = min((epoch - peak) / (last - peak), 1.0)
        return least + (1 - least) / 2 * (1 + cos(pi * done))


class Plateau(Schedule, kind="Plateau"):
    """Multiplies the learning rate by a factor whenever the validation part has not got better for some epochs.

    In a file: ``schedule Plateau(gamma=0.1, patience=10)``, with ``validation 0.1`` or another share: the test set has
    no say in how a network is trained. It is ``ReduceLROnPlateau`` of torch.

    Attributes:
        monitor: What is to get better: ``loss`` falls, ``accuracy`` rises.
        gamma: Factor of each step, in (0, 1).
        patience: Epochs without a gain that are let pass.
        threshold: What counts as a gain: a change by more than this share, in [0, 1).
        cooldown: Epochs after a step in which none is counted.
        min_lr: The learning rate does not fall below this, >= 0.
    """

    by_validation = True

    monitor: Literal["loss", "accuracy"] = "loss"
    gamma: float = Field(default=0.1, gt=0, lt=1)
    patience: Natural = 10
    threshold: float = Field(default=1e-4, ge=0, lt=1)
    cooldown: Natural = 0
    min_lr: float = Field(default=0.0, ge=0)

    def factor(self, epoch: int, epochs: int) -> float:
        """1: what is known before the training begins."""
        return 1.0


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
        return self.gamma ** (epoch // self.size)


class WarmRestarts(Schedule, kind="WarmRestarts"):
    """Lets the learning rate fall to zero along half a cosine, then begins anew (Loshchilov and Hutter 2017).

    In a file: ``schedule WarmRestarts(T_0=10, T_mult=2)``; ``CosineAnnealingWarmRestarts`` of torch::

        factor = (1 + cos(π · t / T)) / 2        t: epochs since the last start; T: T_0, T_0 · T_mult, T_0 · T_mult², …

    Attributes:
        T_0: Epochs until the first restart, >= 1.
        T_mult: How many times as long each period is as the one before, >= 1.
    """

    T_0: Positive
    T_mult: Positive = 1

    def factor(self, epoch: int, epochs: int) -> float:
        """Half a cosine and a half, of the period that the epoch is in."""
        length = self.T_0
        while epoch >= length:
            epoch, length = epoch - length, length * self.T_mult
            if self.T_mult == 1:
                epoch %= length
        return (1 + cos(pi * epoch / length)) / 2
