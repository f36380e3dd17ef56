"""The arc tangent surrogate, ``ATan``."""

from __future__ import annotations

from math import pi
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
        """σ'(u)."""
        slope = pi / 2 * self.alpha * u
        return self.scale * self.alpha / 2 / (1 + slope * slope)
