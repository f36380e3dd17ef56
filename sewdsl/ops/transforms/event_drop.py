"""Events left out in four ways, ``EventDrop``."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from sewdsl.ir.recipe import EventTransform


class EventDrop(EventTransform, kind="EventDrop"):
    """Leaves out the events of a time, of a rectangle, or some at random, or none: one of the four (Gu et al. 2021).

    In a file: ``augment EventDrop``; ``EventDrop`` of tonic.
    """

    def build(self, library: ModuleType, sensor: tuple[int, int, int]) -> Any:
        """As a function of tonic's arrays of events."""
        return library.EventDrop(sensor_size=sensor)
