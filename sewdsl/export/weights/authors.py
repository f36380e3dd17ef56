"""Keys of the code for ImageNet that Fang et al. 2021 released: ``imagenet/`` in its repository."""

from __future__ import annotations

from typing import ClassVar

from sewdsl.export.weights.anatomy import ConvUnit
from sewdsl.export.weights.resnet import ResNetScheme
from sewdsl.export.weights.scheme import UnitKeys


class FangImageNetScheme(ResNetScheme):
    """``layer2.0.conv1.module.0.weight``: a convolution and its norm share a container, in the stem they do not."""

    name: ClassVar[str] = "authors"
    scalar: ClassVar[tuple[int, ...]] = (1,)  # of the neurons that SpikingJelly had then
    omitted: ClassVar[str] = ".module"  # its containers' since then

    def branch(self, number: int) -> UnitKeys:
        """``conv1.module.0``, ``conv1.module.1``, ``sn1``."""
        return UnitKeys(f"conv{number}.module.0", f"conv{number}.module.1", f"sn{number}")

    def shortcut(self, unit: ConvUnit) -> UnitKeys:
        """The container, or in a SEW block a row of the container and a neuron."""
        if unit.activation is None:
            return UnitKeys("downsample.module.0", "downsample.module.1", None)
        return UnitKeys("downsample.0.module.0", "downsample.0.module.1", "downsample.1")
