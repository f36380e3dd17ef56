"""The rectangular surrogate, ``Rectangular``."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sewdsl.ir.op import Surrogate


class Rectangular(Surrogate, kind="Rectangular"):
    """A constant gradient near the threshold and none elsewhere (reference 64; appendix A.5 with width 1).

    In a network: ``surrogate=Rectangular(width=1.0)``::

        σ'(u) = 1/width  where |u| < width/2, else 0

    Attributes:
        width: Width of the window, > 0.
    """

    width: float = Field(default=1.0, gt=0)

    def derivative(self, u: Any) -> Any:
        """σ'(u), in the dtype of u."""
        return (abs(u) < self.width / 2) * (0 * u + 1 / self.width)
