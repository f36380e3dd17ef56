"""The constant surrogate, ``Constant``."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sewdsl.ir.op import Surrogate


class Constant(Surrogate, kind="Constant"):
    """The same gradient everywhere (straight through; "Constant 1" of appendix A.5).

    In a network: ``surrogate=Constant(value=1.0)``::

        σ'(u) = value

    Attributes:
        value: The gradient, > 0.
    """

    value: float = Field(default=1.0, gt=0)

    def derivative(self, u: Any) -> Any:
        """σ'(u), in the shape of u."""
        return 0 * u + self.value
