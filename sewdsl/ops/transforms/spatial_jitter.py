"""Events at other places, ``SpatialJitter``."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from pydantic import Field

from sewdsl.ir.recipe import EventTransform


class SpatialJitter(EventTransform, kind="SpatialJitter"):
    """Moves each event by a distance of its own; one that leaves the sensor is left out.

    In a file: ``augment SpatialJitter(var_x=1.0, var_y=1.0)``; ``SpatialJitter`` of tonic.

    Attributes:
        var_x: Variance of the distance along a row, in pixels², > 0.
        var_y: Likewise along a column.
    """

    var_x: float = Field(default=1.0, gt=0)
    var_y: float = Field(default=1.0, gt=0)

    def build(self, library: ModuleType, sensor: tuple[int, int, int]) -> Any:
        """As a function of tonic's arrays of events."""
        return library.SpatialJitter(sensor_size=sensor, var_x=self.var_x, var_y=self.var_y, clip_outliers=True)
