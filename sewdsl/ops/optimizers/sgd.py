"""Stochastic gradient descent, ``SGD``."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from sewdsl.ir.recipe import Optimizer


class SGD(Optimizer, kind="SGD"):
    """Steps down the gradient, with a momentum if asked for (Tables 7 and 8).

    In a file: ``optimizer SGD(lr=0.1, momentum=0.9)``::

        b = momentum · b + gradient + weight_decay · w
        w = w - lr · b

    Attributes:
        lr: Learning rate, > 0.
        momentum: What is kept of the last step, in [0, 1).
        weight_decay: Pull of every weight towards zero, >= 0.
        nesterov: Whether the gradient is taken where the momentum leads; needs a momentum.
    """

    lr: float = Field(gt=0)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    nesterov: bool = False

    @property
    def states(self) -> int:
        """The last step, if there is a momentum."""
        return 1 if self.momentum else 0

    @model_validator(mode="after")
    def _momentum_for_nesterov(self) -> Self:
        if self.nesterov and not self.momentum:
            message = "nesterov needs a momentum above 0"
            raise ValueError(message)
        return self
