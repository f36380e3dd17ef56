"""The triangular surrogate, ``Triangle``."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sewdsl.ir.op import Surrogate


class Triangle(Surrogate, kind="Triangle"):
    """A gradient that falls linearly from the threshold; its integral is 1.

    In a network: ``surrogate=Triangle(alpha=1.0)``::

        σ'(u) = alpha · max(0, 1 - alpha |u|)

    Attributes:
        alpha: Height at the threshold and inverse half width, > 0.
    """

    alpha: float = Field(default=1.0, gt=0)

    def derivative(self, u: Any) -> Any:
        """σ'(u)."""
        height = 1 - self.alpha * abs(u)
        return (height > 0) * height * self.alpha
