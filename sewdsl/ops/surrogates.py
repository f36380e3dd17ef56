"""Surrogates: derivatives that replace that of the step function."""

from __future__ import annotations

from math import e, pi
from typing import Any

from pydantic import Field

from sewdsl.ir.op import Surrogate


class ATan(Surrogate, kind="ATan"):
    """Arctangent surrogate, used in all experiments of the paper (appendix A.1).

    In a network: ``surrogate=ATan(alpha=2.0)``::

        σ(u) = arctan(π/2 · alpha · u) / π + 1/2
        σ'(u) = scale · alpha / (2 (1 + (π/2 · alpha · u)²))
    """

    alpha: float = Field(default=2.0, gt=0)
    """Steepness, > 0, with σ'(0) = scale · alpha / 2."""
    scale: float = Field(default=1.0, gt=0)
    """Factor of σ', > 0. With alpha 2, 1 + π²/4 makes σ'(±1/2) = 1 (appendix A.5)."""

    def derivative(self, u: Any) -> Any:
        # slope * slope instead of a power: all targets compute it equally.
        slope = pi / 2 * self.alpha * u
        return self.scale * self.alpha / 2 / (1 + slope * slope)


class Constant(Surrogate, kind="Constant"):
    """Constant gradient (straight-through, "Constant 1" of appendix A.5).

    In a network: ``surrogate=Constant(value=1.0)``::

        σ'(u) = value
    """

    value: float = Field(default=1.0, gt=0)
    """Gradient, > 0."""

    def derivative(self, u: Any) -> Any:
        return 0 * u + self.value  # in the shape of u


class Rectangular(Surrogate, kind="Rectangular"):
    """Constant gradient near the threshold, zero elsewhere (reference 64, and appendix A.5 with width 1).

    In a network: ``surrogate=Rectangular(width=1.0)``::

        σ'(u) = 1/width  where |u| < width/2, else 0
    """

    width: float = Field(default=1.0, gt=0)
    """Width of the window, > 0."""

    def derivative(self, u: Any) -> Any:
        # 0 * u keeps the dtype and shape of u.
        return (abs(u) < self.width / 2) * (0 * u + 1 / self.width)  # in the dtype of u


class Sigmoid(Surrogate, kind="Sigmoid"):
    """Derivative of a logistic function.

    In a network: ``surrogate=Sigmoid(alpha=4.0)``::

        σ(u) = 1 / (1 + exp(-alpha · u))
        σ'(u) = alpha · σ(u) (1 - σ(u))
    """

    alpha: float = Field(default=4.0, gt=0)
    """Steepness, > 0, with σ'(0) = alpha / 4."""

    def derivative(self, u: Any) -> Any:
        # The derivative is even in u, and a negative exponent never overflows.
        decay = e ** (-self.alpha * abs(u))
        return self.alpha * decay / ((1 + decay) * (1 + decay))


class Triangle(Surrogate, kind="Triangle"):
    """Gradient that decreases linearly with the distance from the threshold, with integral 1.

    In a network: ``surrogate=Triangle(alpha=1.0)``::

        σ'(u) = alpha · max(0, 1 - alpha |u|)
    """

    alpha: float = Field(default=1.0, gt=0)
    """Height at the threshold and inverse half width, > 0."""

    def derivative(self, u: Any) -> Any:
        height = 1 - self.alpha * abs(u)
        return (height > 0) * height * self.alpha
