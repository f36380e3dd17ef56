"""Half a cosine, again and again, ``WarmRestarts``."""

from __future__ import annotations

from math import cos, pi

from sewdsl.ir.kind import Positive
from sewdsl.ir.recipe import Schedule


class WarmRestarts(Schedule, kind="WarmRestarts"):
    """Lets the learning rate fall to zero along half a cosine, then begins anew (Loshchilov and Hutter 2017).

    In a file: ``schedule WarmRestarts(T_0=10, T_mult=2)``; ``CosineAnnealingWarmRestarts`` of torch::

        factor = (1 + cos(π · t / T)) / 2        t: epochs since the last start; T: T_0, T_0 · T_mult, T_0 · T_mult², …

    Attributes:
        T_0: Epochs until the first restart, >= 1.
        T_mult: How many times as long each period is as the one before, >= 1.
    """

    T_0: Positive
    T_mult: Positive = 1

    def factor(self, epoch: int, epochs: int) -> float:
        """Half a cosine and a half, of the period that the epoch is in."""
        length = self.T_0
        while epoch >= length:
            epoch, length = epoch - length, length * self.T_mult
            if self.T_mult == 1:
                epoch %= length
        return (1 + cos(pi * epoch / length)) / 2
