"""Operations at random, ``RandAugment``."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from pydantic import Field

from sewdsl.ir.kind import Positive
from sewdsl.ir.recipe import ImageTransform


class RandAugment(ImageTransform, kind="RandAugment"):
    """Some operations on an image, drawn from fourteen, all of one strength (Cubuk et al. 2020).

    In a file: ``augment RandAugment(ops=2, strength=9)``; ``RandAugment`` of torchvision.

    Attributes:
        ops: How many operations, >= 1.
        strength: Of each, from 0 to 30.
    """

    ops: Positive = 2
    strength: int = Field(default=9, ge=0, le=30)

    def build(self, library: ModuleType) -> Any:
        """As a function of an image ``[C, H, W]`` of uint8."""
        return library.RandAugment(self.ops, self.strength)
