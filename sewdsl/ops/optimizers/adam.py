"""Adaptive moments, ``Adam``."""

from __future__ import annotations

from pydantic import Field

from sewdsl.ir.recipe import Optimizer


class Adam(Optimizer, kind="Adam"):
    """Steps of a size of their own for every weight (Kingma and Ba 2015).

    In a file: ``optimizer Adam(lr=0.001)``::

        m = 0.9 · m + 0.1 · (gradient + weight_decay · w)
        q = 0.999 · q + 0.001 · (gradient + weight_decay · w)²
        w = w - lr · m̂ / (√q̂ + 1e-8)        m̂, q̂: m and q without their start from zero

    Attributes:
        lr: Learning rate, > 0.
        weight_decay: Pull of every weight towards zero, >= 0.
    """

    lr: float = Field(default=0.001, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)

    @property
    def states(self) -> int:
        """Both moments."""
        return 2
