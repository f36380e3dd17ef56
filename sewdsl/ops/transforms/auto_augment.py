"""A policy that was found by search, ``AutoAugment``."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Literal

from sewdsl.ir.recipe import ImageTransform


class AutoAugment(ImageTransform, kind="AutoAugment"):
    """Two operations on an image, drawn from a policy that was found by search (Cubuk et al. 2019).

    In a file: ``augment AutoAugment(policy=cifar10)``; ``AutoAugment`` of torchvision.

    Attributes:
        policy: By which dataset it was found: ``imagenet``, ``cifar10`` or ``svhn``.
    """

    policy: Literal["imagenet", "cifar10", "svhn"] = "imagenet"

    def build(self, library: ModuleType) -> Any:
        """As a function of an image ``[C, H, W]`` of uint8."""
        return library.AutoAugment(library.AutoAugmentPolicy(self.policy))
