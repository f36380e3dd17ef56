"""Surrogates: derivatives that replace the step function's."""

from __future__ import annotations

from math import e, pi
from typing import Any

from pydantic import Field

from sewdsl.ir.op import Surrogate


class ATan(Surrogate, kind="ATan"):
    """The surrogate of all the paper's experiments (appendix A.1).

    In a network: ``surrogate=ATan(alpha=2.0)``::

        σ(u) = arctan(π/2 · alpha · u) / π + 1/2
        σ'(u) = scale · alpha / (2 (1 + (π/2 · alpha · u)²))

    Attributes:
        alpha: Steepness, > 0; σ'(0) = scale · alpha / 2.
        scale: Factor of σ', > 0; with alpha 2, 1 + π²/4 makes σ'(±1/2) = 1 (appendix A.5).
    """

    alpha: float = Field(default=2.0, gt=0)
    scale: float = Field(default=1.0, gt=0)

    def derivative(self, u: Any) -> Any:
        slope = pi / 2 * self.alpha * u
        return self.scale * self.alpha / 2 / (1 + slope * slope)


class Constant(Surrogate, kind="Constant"):
    """The same gradient everywhere (straight through; "Constant 1" of appendix A.5).

    In a network: ``surrogate=Constant(value=1.0)``::

        σ'(u) = value

    Attributes:
        value: The gradient, > 0.
    """

    value: float = Field(default=1.0, gt=0)

    def derivative(self, u: Any) -> Any:
        return 0 * u + self.value  # in the shape of u


class Rectangular(Surrogate, kind="Rectangular"):
    """A constant gradient near the threshold and none elsewhere (reference 64; appendix A.5 with width 1).

    In a network: ``surrogate=Rectangular(width=1.0)``::

        σ'(u) = 1/width  where |u| < width/2, else 0

    Attributes:
        width: Width of the window, > 0.
    """

    width: float = Field(default=1.0, gt=0)

    def derivative(self, u: Any) -> Any:
        return (abs(u) < self.width / 2) * (0 * u + 1 / self.width)  # in the dtype of u


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
        falling = e ** (-self.alpha * abs(u))  # even in u, so that it never overflows
        return self.alpha * falling / ((1 + falling) * (1 + falling))


class Triangle(Surrogate, kind="Triangle"):
    """A gradient that falls linearly from the threshold; its integral is 1.

    In a network: ``surrogate=Triangle(alpha=1.0)``::

        σ'(u) = alpha · max(0, 1 - alpha |u|)

    Attributes:
        alpha: Height at the threshold and inverse half width, > 0.
    """

    alpha: float = Field(default=1.0, gt=0)

    def derivative(self, u: Any) -> Any:
        height = 1 - self.alpha * abs(u)
        return (height > 0) * height * self.alpha
