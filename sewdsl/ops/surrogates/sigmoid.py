"""The sigmoid surrogate, ``Sigmoid``."""

from __future__ import annotations

from math import e
from typing import Any

from pydantic import Field

from sewdsl.ir.op import Surrogate


class Sigmoid(Surrogate, kind="Sigmoid"):
    """The derivative of a logistic function.

    In a network: ``surrogate=Sigmoid(alpha=4.0)``::

        σ(u) = 1 / (1 + exp(-alpha · u))
        σ'(u) = alpha · σ(u) (1 - σ(u))

    Attributes:
        alpha: Steepness, > 0; σ'(0) = alpha / 4.
    """

    alpha: float = Field(default=4.0, gt=0)

    def derivative(self, u: Any) -> Any:
        """σ'(u); even in u, so that the exponential never overflows."""
        falling = e ** (-self.alpha * abs(u))
        return self.alpha * falling / ((1 + falling) * (1 + falling))
