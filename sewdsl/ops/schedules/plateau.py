"""A learning rate that falls where nothing gets better, ``Plateau``."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from sewdsl.ir.kind import Natural
from sewdsl.ir.recipe import Schedule


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

    by_validation: ClassVar[bool] = True

    monitor: Literal["loss", "accuracy"] = "loss"
    gamma: float = Field(default=0.1, gt=0, lt=1)
    patience: Natural = 10
    threshold: float = Field(default=1e-4, ge=0, lt=1)
    cooldown: Natural = 0
    min_lr: float = Field(default=0.0, ge=0)

    def factor(self, epoch: int, epochs: int) -> float:
        """1: what is known before the training begins."""
        return 1.0
