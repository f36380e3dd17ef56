"""torchvision's keys of ResNets."""

from __future__ import annotations

from typing import ClassVar

from sewdsl.export.weights.anatomy import Unit
from sewdsl.export.weights.resnet import ResNet
from sewdsl.export.weights.scheme import Names


class TorchVision(ResNet):
    """``layer1.0.bn1.weight``, ``layer2.0.downsample.0.weight``: activations learn nothing."""

    name: ClassVar[str] = "torchvision"

    def branch(self, number: int) -> Names:
        """``conv1``, ``bn1``."""
        return Names(f"conv{number}", f"bn{number}", None)

    def shortcut(self, unit: Unit) -> Names:  # noqa: ARG002 -- the same for all
        """Two layers in a row."""
        return Names("downsample.0", "downsample.1", None)
