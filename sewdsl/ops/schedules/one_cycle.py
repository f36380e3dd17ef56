"""Up and down once, ``OneCycle``."""

from __future__ import annotations

from math import cos, pi
from typing import ClassVar, Literal

from pydantic import Field

from sewdsl.ir.recipe import Schedule


class OneCycle(Schedule, kind="OneCycle"):
    """Raises the learning rate to that of the optimizer, and lets it fall to nearly nothing (Smith and Topin 2019).

    In a file: ``schedule OneCycle`` or ``schedule OneCycle(pct_start=0.2)``. It changes with every step of the
    optimizer, as ``OneCycleLR`` of torch, of which this is two phases along half a cosine, ``cycle_momentum=False``::

        first    1 / div_factor
        highest  1, after pct_start of all steps
        last     1 / (div_factor · final_div_factor)

    Attributes:
        pct_start: Share of the steps in which it rises, in (0, 1).
        div_factor: By what it is lower at first, >= 1.
        final_div_factor: By what the last is lower than the first, >= 1.
    """

    each: ClassVar[Literal["epoch", "step"]] = "step"

    pct_start: float = Field(default=0.3, gt=0, lt=1)
    div_factor: float = Field(default=25.0, ge=1)
    final_div_factor: float = Field(default=1e4, ge=1)

    def factor(self, epoch: int, epochs: int) -> float:
        """Of a step, counted from 0, of so many; after the last it stays."""
        peak, last = self.pct_start * epochs - 1, epochs - 1
        low, least = 1 / self.div_factor, 1 / (self.div_factor * self.final_div_factor)
        if epoch <= peak:
            return 1 + (low - 1) / 2 * (1 + cos(pi * epoch / peak)) if peak else 1.0
        done = min((epoch - peak) / (last - peak), 1.0)
        return least + (1 - least) / 2 * (1 + cos(pi * done))
