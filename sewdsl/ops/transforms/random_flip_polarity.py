"""Bright for dark, ``RandomFlipPolarity``."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from pydantic import Field

from sewdsl.ir.recipe import EventTransform


class RandomFlipPolarity(EventTransform, kind="RandomFlipPolarity"):
    """Turns both polarities of a recording around.

    In a file: ``augment RandomFlipPolarity(p=0.5)``; ``RandomFlipPolarity`` of tonic.

    Attributes:
        p: Share of the recordings that it is done to, in [0, 1].
    """

    p: float = Field(default=0.5, ge=0, le=1)

    def build(self, library: ModuleType, sensor: tuple[int, int, int]) -> Any:  # of any size
        """As a function of tonic's arrays of events."""
        return library.RandomFlipPolarity(p=self.p)
