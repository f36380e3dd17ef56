"""A running mean of squared gradients, ``RMSprop``."""

from __future__ import annotations

from pydantic import Field

from sewdsl.ir.recipe import Optimizer


class RMSprop(Optimizer, kind="RMSprop"):
    """Divides each weight's gradient by how large it has been of late (Tieleman and Hinton 2012).

    In a file: ``optimizer RMSprop(lr=0.01, momentum=0.9)``; with g = gradient + weight_decay · w::

        q = alpha · q + (1 - alpha) · g²
        b = momentum · b + g / (√q + eps)
        w = w - lr · b

    Attributes:
        lr: Learning rate, > 0.
        alpha: What is kept of the mean of squares, in [0, 1).
        eps: Added to what is divided by, > 0.
        momentum: What is kept of the last step, in [0, 1).
        weight_decay: Pull of every weight towards zero, >= 0.
        centered: Whether the gradient's mean is taken off its square first, which makes q its variance.
    """

    lr: float = Field(default=0.01, gt=0)
    alpha: float = Field(default=0.99, ge=0, lt=1)
    eps: float = Field(default=1e-8, gt=0)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    centered: bool = False

    @property
    def states(self) -> int:
        """The mean of squares; the last step and the mean, where they are asked for."""
        return 1 + bool(self.momentum) + self.centered
