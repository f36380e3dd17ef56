"""torchvision's keys of ResNets."""

from __future__ import annotations

from typing import ClassVar

from sewdsl.export.weights.anatomy import ConvUnit
from sewdsl.export.weights.resnet import ResNetScheme
from sewdsl.export.weights.scheme import UnitKeys


class TorchVisionScheme(ResNetScheme):
    """``layer1.0.bn1.weight``, ``layer2.0.downsample.0.weight``: activations learn nothing."""

    name: ClassVar[str] = "torchvision"

    def branch(self, number: int) -> UnitKeys:
        """``conv1``, ``bn1``."""
        return UnitKeys(f"conv{number}", f"bn{number}", None)

    def shortcut(self, unit: ConvUnit) -> UnitKeys:  # noqa: ARG002 -- the same for all
        """Two layers in a row."""
        return UnitKeys("downsample.0", "downsample.1", None)
