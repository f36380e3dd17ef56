"""Other colours, ``ColorJitter``."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from pydantic import Field

from sewdsl.ir.recipe import ImageTransform


class ColorJitter(ImageTransform, kind="ColorJitter"):
    """Changes brightness, contrast, saturation and hue, in an order that is drawn.

    In a file: ``augment ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4)``; ``ColorJitter`` of torchvision. Of
    grey images, saturation and hue change nothing.

    Attributes:
        brightness: Factors are drawn from 1 less this to 1 and this, >= 0.
        contrast: Likewise.
        saturation: Likewise.
        hue: Shifts are drawn up to this each way, as a share of the circle, in [0, 0.5].
    """

    brightness: float = Field(default=0.0, ge=0)
    contrast: float = Field(default=0.0, ge=0)
    saturation: float = Field(default=0.0, ge=0)
    hue: float = Field(default=0.0, ge=0, le=0.5)

    def build(self, library: ModuleType) -> Any:
        """As a function of an image ``[C, H, W]`` of uint8."""
        return library.ColorJitter(self.brightness, self.contrast, self.saturation, self.hue)
