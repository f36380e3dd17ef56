"""One operation at random, ``TrivialAugment``."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from sewdsl.ir.recipe import ImageTransform


class TrivialAugment(ImageTransform, kind="TrivialAugment"):
    """One operation on an image, of a strength that is drawn too (Müller and Hutter 2021).

    In a file: ``augment TrivialAugment``; ``TrivialAugmentWide`` of torchvision.
    """

    def build(self, library: ModuleType) -> Any:
        """As a function of an image ``[C, H, W]`` of uint8."""
        return library.TrivialAugmentWide()
