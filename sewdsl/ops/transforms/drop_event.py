"""Events left out at random, ``DropEvent``."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from pydantic import Field

from sewdsl.ir.recipe import EventTransform


class DropEvent(EventTransform, kind="DropEvent"):
    """Leaves out a share of the events.

    In a file: ``augment DropEvent(p=0.2)``; ``DropEvent`` of tonic.

    Attributes:
        p: The share, in [0, 1).
    """

    p: float = Field(default=0.1, ge=0, lt=1)

    def build(self, library: ModuleType, sensor: tuple[int, int, int]) -> Any:  # of any size
        """As a function of tonic's arrays of events."""
        return library.DropEvent(p=self.p)
