"""A learning rate that falls along half a cosine, ``Cosine``."""

from __future__ import annotations

from math import cos, pi

from sewdsl.ir.kind import Positive
from sewdsl.ir.recipe import Schedule


class Cosine(Schedule, kind="Cosine"):
    """Lets the learning rate fall from its value to zero, slowly at both ends (Table 7).

    In a file: ``schedule Cosine`` or ``schedule Cosine(T_max=64)``::

        factor = (1 + cos(π · epoch / T_max)) / 2

    Attributes:
        T_max: Epochs until zero, >= 1; it rises again after that. None: all epochs of the recipe.
    """

    T_max: Positive | None = None

    def factor(self, epoch: int, epochs: int) -> float:
        """Half a cosine and a half."""
        return (1 + cos(pi * epoch / (self.T_max or epochs))) / 2
