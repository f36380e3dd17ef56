"""SpikingJelly's keys of SEW and Spiking ResNets."""

from __future__ import annotations

from typing import ClassVar

from sewdsl.export.weights.anatomy import Unit
from sewdsl.export.weights.resnet import ResNet
from sewdsl.export.weights.scheme import Names


class SpikingJelly(ResNet):
    """``layer1.0.bn1.weight``, ``layer1.0.sn1.w``, ``layer2.0.downsample_sn.w``: torchvision's, with neurons."""

    name: ClassVar[str] = "spikingjelly"

    def branch(self, number: int) -> Names:
        """``conv1``, ``bn1``, ``sn1``."""
        return Names(f"conv{number}", f"bn{number}", f"sn{number}")

    def shortcut(self, unit: Unit) -> Names:  # noqa: ARG002 -- the same for all
        """Two layers in a row; a SEW block has a neuron behind them."""
        return Names("downsample.0", "downsample.1", "downsample_sn")
