"""What the schemes of ResNets have in common: a stem, stages ``layer1``, ``layer2``, …, and ``fc``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

from sewdsl.export.weights.anatomy import ConvBlock, ConvUnit, leading_unit, network_parts
from sewdsl.export.weights.error import NoPlaceError, WeightsError
from sewdsl.export.weights.scheme import Place, Scheme, UnitKeys
from sewdsl.ir.network import Network, Node
from sewdsl.ops.layers.avg_pool import AvgPool
from sewdsl.ops.layers.dropout import Dropout
from sewdsl.ops.layers.flatten import Flatten
from sewdsl.ops.layers.global_avg_pool import GlobalAvgPool
from sewdsl.ops.layers.max_pool import MaxPool

POOLS = (MaxPool, AvgPool)
FLAT = (GlobalAvgPool, AvgPool, Flatten, Dropout)


class ResNetScheme(Scheme):
    """A stem (a convolution with norm and activation, perhaps a pool), blocks one behind the other, one linear layer.

    A stage begins with the first block, and with each further one whose shortcut is a projection.
    """

    @abstractmethod
    def branch(self, number: int) -> UnitKeys:
        """Names in a block of the unit with a number, from 1."""

    @abstractmethod
    def shortcut(self, unit: ConvUnit) -> UnitKeys:
        """Names in a block of its projection."""

    def places(self, network: Network) -> Iterator[Place]:
        """In order: the stem, ``layer1.0`` and so on, ``fc``."""
        found = network_parts(network)
        where = [index for index, part in enumerate(found) if isinstance(part, ConvBlock)]
        if not where:
            message = "there is no residual block of convolutions"
            raise WeightsError(message)
        yield from self._stem([part for part in found[: where[0]] if isinstance(part, Node)])
        stage, number = 1, 0
        for part in found[where[0] : where[-1] + 1]:
            if isinstance(part, Node):
                raise NoPlaceError(part, "stands between two blocks")
            if part.shortcut and number:
                stage, number = stage + 1, 0
            yield from self._block(part, f"layer{stage}.{number}.")
            number += 1
        yield from self._head([part for part in found[where[-1] + 1 :] if isinstance(part, Node)])

    def _stem(self, row: Sequence[Node]) -> Iterator[Place]:
        if not row:
            message = "there is no convolution before the first block"
            raise WeightsError(message)
        unit, behind = leading_unit(row)
        yield from self.unit(unit, UnitKeys("conv1", "bn1", self.branch(1).activation))
        for node in behind:
            if not isinstance(node.op, POOLS):
                raise NoPlaceError(node, "stands between the stem and the first block")

    def _block(self, block: ConvBlock, within: str) -> Iterator[Place]:
        for number, unit in enumerate(block.branch, 1):
            yield from self.unit(unit, self.branch(number), within)
        for unit in block.shortcut[:1]:
            yield from self.unit(unit, self.shortcut(unit), within)
        for unit in block.shortcut[1:]:
            raise NoPlaceError(unit.conv, "is the second convolution of a projection")
        if block.activation is not None:
            if block.branch[-1].activation:
                raise NoPlaceError(block.activation, "stands behind a block whose branch ends with an activation")
            place = self.branch(len(block.branch)).activation
            yield from self.activation(block.activation, place and within + place)

    def _head(self, row: Sequence[Node]) -> Iterator[Place]:
        kept = [node for node in row if not isinstance(node.op, FLAT)]
        if not kept:
            message = "there is no linear layer behind the last block"
            raise WeightsError(message)
        yield self.linear(kept[0], "fc")
        for node in kept[1:]:
            raise NoPlaceError(node, "stands behind the linear layer")
