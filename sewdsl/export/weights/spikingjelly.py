"""SpikingJelly's keys of SEW and Spiking ResNets."""

from __future__ import annotations

from typing import ClassVar

from sewdsl.export.weights.anatomy import ConvUnit
from sewdsl.export.weights.resnet import ResNetScheme
from sewdsl.export.weights.scheme import UnitKeys


class SpikingJellyScheme(ResNetScheme):
    """``layer1.0.bn1.weight``, ``layer1.0.sn1.w``, ``layer2.0.downsample_sn.w``: torchvision's, with neurons."""

    name: ClassVar[str] = "spikingjelly"

    def branch(self, number: int) -> UnitKeys:
        """``conv1``, ``bn1``, ``sn1``."""
        return UnitKeys(f"conv{number}", f"bn{number}", f"sn{number}")

    def shortcut(self, unit: ConvUnit) -> UnitKeys:  # noqa: ARG002 -- the same for all
        """Two layers in a row; a SEW block has a neuron behind them."""
        return UnitKeys("downsample.0", "downsample.1", "downsample_sn")
