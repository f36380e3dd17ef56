"""Events that did not happen, ``UniformNoise``."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from sewdsl.ir.kind import Positive
from sewdsl.ir.recipe import EventTransform


class UniformNoise(EventTransform, kind="UniformNoise"):
    """Adds events at random places and times, and puts all of them in the order of their times.

    In a file: ``augment UniformNoise(n=500)``; ``UniformNoise`` of tonic.

    Attributes:
        n: How many, >= 1.
    """

    n: Positive = 100

    def build(self, library: ModuleType, sensor: tuple[int, int, int]) -> Any:
        """As a function of tonic's arrays of events."""
        return library.UniformNoise(sensor_size=sensor, n=self.n)
