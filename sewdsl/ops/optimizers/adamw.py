"""Adaptive moments with a decay of their own, ``AdamW``."""

from __future__ import annotations

from pydantic import Field

from sewdsl.ir.recipe import Optimizer


class AdamW(Optimizer, kind="AdamW"):
    """Adam whose weight decay does not pass through the moments (Loshchilov and Hutter 2019).

    In a file: ``optimizer AdamW(lr=0.001, weight_decay=0.01)``: the step of Adam without decay, and then::

        w = w - lr · weight_decay · w

    Attributes:
        lr: Learning rate, > 0.
        weight_decay: Pull of every weight towards zero, >= 0.
    """

    lr: float = Field(default=0.001, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)

    @property
    def states(self) -> int:
        """Both moments."""
        return 2
