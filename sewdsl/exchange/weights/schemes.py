"""How libraries name layers: sewdsl's node paths, the code of Fang et al. 2021, SpikingJelly and torchvision.

All but the first build networks of layers in a row, and of blocks of convolutions around a shortcut.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import ClassVar, NamedTuple, final

from sewdsl.analysis.residual_blocks import ResidualBlock, residual_blocks
from sewdsl.exchange.errors import NoPlaceError, WeightsError
from sewdsl.exchange.weights.sequence_reader import FLAT, Place
from sewdsl.exchange.weights.spikingjelly_classes import CLASSES
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node, PathStep
from sewdsl.ir.op import Activation, Neuron, Op, ParallelNeuron
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norms import BatchNorm
from sewdsl.ops.layers.pool import AvgPool, MaxPool
from sewdsl.ops.layers.shapes import Flatten
from sewdsl.ops.neurons.integrate_and_fire import PLIF
from sewdsl.ops.neurons.parallel import ParallelSpikingNeuron, SlidingParallelSpikingNeuron


@dataclass(frozen=True)
class ConvUnit:
    """A convolution without bias, the batch norm after it, and the activation after that, if there is one."""

    conv: Node
    norm: Node
    activation: Node | None = None


@dataclass(frozen=True)
class ConvBlock:
    """A residual block.

    Attributes:
        branch: Its convolutions, one at least.
        shortcut: Those of the projection; none: the shortcut is the identity.
        activation: What alone reads the join, where that is an activation.
    """

    branch: tuple[ConvUnit, ...]
    shortcut: tuple[ConvUnit, ...]
    activation: Node | None


def network_parts(network: Network) -> tuple[Node | ConvBlock, ...]:
    """Return the layers and blocks of a network, in order, without its input.

    Raises:
        NoPlaceError: a join is not that of convolutions and a shortcut, or lies in another one's branch.
    """
    found: list[Node | ConvBlock] = []
    index = 1
    joins = {residual.source + 1: residual for residual in residual_blocks(network)}  # an outer one replaces the inner
    while index < len(network):
        residual = joins.get(index)
        found.append(network.nodes[index] if residual is None else _block(network, residual))
        index = (index if residual is None else residual.end) + 1
    return tuple(found)


def _block(network: Network, residual: ResidualBlock) -> ConvBlock:
    join = network.nodes[residual.join]
    branch, shortcut = (_row(network, index, residual.source) for index in join.inputs)
    if not branch:
        raise NoPlaceError(join, "has no convolutions in its branch")
    activation = None if residual.activation is None else network.nodes[residual.activation]
    return ConvBlock(split_units(branch), split_units(shortcut), activation)


def _row(network: Network, index: int, source: int) -> list[Node]:
    """Return the nodes from one after the source up to another one."""
    row: list[Node] = []
    while index != source:
        node = network.nodes[index]
        if len(node.inputs) != 1:
            raise NoPlaceError(node, "is not one of a row of layers")
        row.append(node)
        (index,) = node.inputs
    return row[::-1]


def split_units(row: Sequence[Node]) -> tuple[ConvUnit, ...]:
    """Return a row of layers as units."""
    units = []
    while row:
        unit, row = leading_unit(row)
        units.append(unit)
    return tuple(units)


def leading_unit(row: Sequence[Node]) -> tuple[ConvUnit, Sequence[Node]]:
    """Return the unit that a row begins with, and what is after it."""
    conv, *following = row
    if not isinstance(conv.op, Conv):
        raise NoPlaceError(conv, "is where a convolution belongs")
    if conv.op.bias:
        raise NoPlaceError(conv, "has a bias")
    if not (following and isinstance(following[0].op, BatchNorm)):
        raise NoPlaceError(conv, "has no batch norm after it")
    norm, *following = following
    if isinstance(norm.op, BatchNorm) and norm.op.scale != 1:
        raise NoPlaceError(norm, f"scales by {norm.op.scale:g} next to its weight")
    if following and isinstance(following[0].op, Activation):
        return ConvUnit(conv, norm, following[0]), following[1:]
    return ConvUnit(conv, norm), following


class UnitKeys(NamedTuple):
    """Those of a unit's layers; None: an activation has no place, and may learn nothing."""

    conv: str
    norm: str
    activation: str | None


class Scheme(ABC):
    """A way to name weights.

    Attributes:
        name: On the command line.
        scalar: Shape in which it keeps a neuron's learned scalar.
        omitted: Part of its keys that another version of the library leaves out, of all of them; read like that too.
    """

    name: ClassVar[str]
    scalar: ClassVar[tuple[int, ...]] = ()
    omitted: ClassVar[str] = ""

    @abstractmethod
    def places(self, network: Network) -> Iterator[Place]:
        """Return all layers that have weights, and where they are.

        Raises:
            NoPlaceError: the scheme has none for a layer.
        """

    @final
    def unit(self, unit: ConvUnit, names: UnitKeys, within: str = "") -> Iterator[Place]:
        """Yield the places of a unit's layers."""
        yield Place(unit.conv, within + names.conv)
        yield Place(unit.norm, within + names.norm)
        if unit.activation is not None:
            yield from self.activation(unit.activation, names.activation and within + names.activation)

    def learns_alike(self, op: Op) -> bool:
        """Return whether the library has a neuron that learns what ours does, by the same keys."""
        return isinstance(op, PLIF)

    @final
    def activation(self, node: Node, place: str | None) -> Iterator[Place]:
        """Yield the place of an activation, if it learns anything."""
        if isinstance(node.op, ParallelNeuron) or (isinstance(node.op, Neuron) and node.op.learnable()):
            if place is None:
                raise NoPlaceError(node, f"learns, and {self.name} has no place for that")
            if not self.learns_alike(node.op):
                raise NoPlaceError(node, f"learns what no neuron of {self.name} does")
            yield Place(node, place)

    @final
    def linear(self, node: Node, place: str) -> Place:
        """Return the place of the last layer, which is linear and has a bias."""
        if not isinstance(node.op, Linear):
            raise NoPlaceError(node, f"has no place in {self.name}")
        if not node.op.bias:
            raise NoPlaceError(node, "has no bias")
        return Place(node, place)


class NodePathScheme(Scheme):
    """``sew_block1.branch.conv1.weight``: for every network."""

    name: ClassVar[str] = "sewdsl"

    def places(self, network: Network) -> Iterator[Place]:
        """Yield every node, by its name."""
        for node in network:
            yield Place(node, node.name)


POOLS = (MaxPool, AvgPool)


class ResNetScheme(Scheme):
    """A stem (a convolution with norm and activation, perhaps a pool), blocks one after the other, one linear layer.

    A stage begins with the first block, and with each further one whose shortcut is a projection.

    Attributes:
        branch: Names in a block of a unit, in each of which ``{}`` is the number of the unit, from 1.
        projection: Names in a block of its projection.
        bare_projection: Names of one without an activation, where these are others.
    """

    branch: ClassVar[UnitKeys]
    projection: ClassVar[UnitKeys]
    bare_projection: ClassVar[UnitKeys | None] = None

    def unit_keys(self, number: int) -> UnitKeys:
        """Return the names in a block of the unit with a number."""
        conv, norm, activation = self.branch
        return UnitKeys(conv.format(number), norm.format(number), activation and activation.format(number))

    def places(self, network: Network) -> Iterator[Place]:
        """In order: the stem, ``layer1.0`` and so on, ``fc``."""
        found = network_parts(network)
        where = [index for index, part in enumerate(found) if isinstance(part, ConvBlock)]
        if not where:
            raise WeightsError("there is no residual block of convolutions")
        yield from self._stem([part for part in found[: where[0]] if isinstance(part, Node)])
        stage, number = 1, 0
        for part in found[where[0] : where[-1] + 1]:
            if isinstance(part, Node):
                raise NoPlaceError(part, "is between two blocks")
            if part.shortcut and number:
                stage, number = stage + 1, 0
            yield from self._block(part, f"layer{stage}.{number}.")
            number += 1
        yield from self._head([part for part in found[where[-1] + 1 :] if isinstance(part, Node)])

    def _stem(self, row: Sequence[Node]) -> Iterator[Place]:
        if not row:
            raise WeightsError("there is no convolution before the first block")
        unit, following = leading_unit(row)
        yield from self.unit(unit, UnitKeys("conv1", "bn1", self.unit_keys(1).activation))
        for node in following:
            if not isinstance(node.op, POOLS):
                raise NoPlaceError(node, "is between the stem and the first block")

    def _block(self, block: ConvBlock, within: str) -> Iterator[Place]:
        for number, unit in enumerate(block.branch, 1):
            yield from self.unit(unit, self.unit_keys(number), within)
        for unit in block.shortcut[:1]:
            bare = None if unit.activation else self.bare_projection
            yield from self.unit(unit, bare or self.projection, within)
        for unit in block.shortcut[1:]:
            raise NoPlaceError(unit.conv, "is the second convolution of a projection")
        if block.activation is not None:
            if block.branch[-1].activation:
                raise NoPlaceError(block.activation, "follows a block whose branch ends with an activation")
            place = self.unit_keys(len(block.branch)).activation
            yield from self.activation(block.activation, place and within + place)

    def _head(self, row: Sequence[Node]) -> Iterator[Place]:
        kept = [node for node in row if not isinstance(node.op, FLAT)]
        if not kept:
            raise WeightsError("there is no linear layer after the last block")
        yield self.linear(kept[0], "fc")
        for node in kept[1:]:
            raise NoPlaceError(node, "follows the linear layer")


class FangImageNetScheme(ResNetScheme):
    """``layer2.0.conv1.module.0.weight``: a convolution and its norm share a container, in the stem they do not."""

    name: ClassVar[str] = "authors"
    scalar: ClassVar[tuple[int, ...]] = (1,)  # of the neurons that SpikingJelly had then
    omitted: ClassVar[str] = ".module"  # its containers' since then

    branch: ClassVar[UnitKeys] = UnitKeys("conv{}.module.0", "conv{}.module.1", "sn{}")
    projection: ClassVar[UnitKeys] = UnitKeys("downsample.0.module.0", "downsample.0.module.1", "downsample.1")
    bare_projection: ClassVar[UnitKeys | None] = UnitKeys("downsample.module.0", "downsample.module.1", None)


Item = ConvBlock | ConvUnit | tuple[ConvUnit, ...] | Node
"""What has a number in the row: a block, a convolution outside of blocks, a block without a shortcut, or a pool."""


class FangDvsScheme(Scheme):
    """``conv.1.conv.0.0.module.0.weight``: all but the last layer in one row, in which max pooling counts too.

    The shortcut of a block is the identity; a Plain block has none.
    """

    name: ClassVar[str] = "authors-dvs"
    scalar: ClassVar[tuple[int, ...]] = (1,)  # of the neurons that SpikingJelly had then
    omitted: ClassVar[str] = ".module"  # its containers' since then

    def places(self, network: Network) -> Iterator[Place]:
        """In order: ``conv.0``, ``conv.1`` and so on, ``out``."""
        *body, last = network_parts(network)
        if isinstance(last, ConvBlock):
            raise WeightsError("there is no linear layer at the end")
        for number, item in enumerate(_items(body)):
            within = f"conv.{number}."
            if isinstance(item, ConvBlock):
                yield from self._block(item, within)
            elif isinstance(item, ConvUnit):
                yield from self.unit(item, UnitKeys("0.module.0", "0.module.1", "1"), within)
            elif isinstance(item, tuple):
                yield from self._row(item, f"{within}conv.")
        yield self.linear(last, "out")

    def _block(self, block: ConvBlock, within: str) -> Iterator[Place]:
        for unit in block.shortcut[:1]:
            raise NoPlaceError(unit.conv, "is a projection")
        yield from self._row(block.branch, f"{within}conv.")
        if block.activation is not None:
            if block.branch[-1].activation:
                raise NoPlaceError(block.activation, "follows a block whose branch ends with an activation")
            yield from self.activation(block.activation, f"{within}sn")

    def _row(self, row: Sequence[ConvUnit], within: str) -> Iterator[Place]:
        for number, unit in enumerate(row):
            bare = f"{number}.module." if unit.activation is None else f"{number}.0.module."
            yield from self.unit(unit, UnitKeys(f"{bare}0", f"{bare}1", f"{number}.1"), within)


def _items(body: Sequence[Node | ConvBlock]) -> Iterator[Item]:
    for call, group in groupby(body, _call):
        nodes = []
        for part in group:
            if isinstance(part, ConvBlock):
                yield part
            else:
                nodes.append(part)
        if call:
            yield split_units(nodes)
        else:
            yield from _loose(nodes)


def _loose(row: Sequence[Node]) -> Iterator[ConvUnit | Node]:
    """Return the units, pools and flattenings outside of all blocks."""
    while row:
        if isinstance(row[0].op, MaxPool | Flatten):
            yield row[0]
            row = row[1:]
        else:
            unit, row = leading_unit(row)
            if unit.activation is None:
                raise NoPlaceError(unit.norm, "has no activation after it")
            yield unit


def _call(part: Node | ConvBlock) -> tuple[PathStep, ...] | None:
    """Return the way to the innermost block that a node lies in; None: it is a block itself."""
    if isinstance(part, ConvBlock):
        return None
    depths = [depth for depth, step in enumerate(part.path, 1) if step.kind == "block"]
    return part.path[: depths[-1]] if depths else ()


class SpikingJellyScheme(ResNetScheme):
    """``layer1.0.bn1.weight``, ``layer1.0.sn1.w``, ``layer2.0.downsample_sn.w``: torchvision's, with neurons.

    These are the keys of ``SEWResNet`` and ``SpikingResNet``. A network that is neither is one of :data:`CLASSES`.
    """

    name: ClassVar[str] = "spikingjelly"
    branch: ClassVar[UnitKeys] = UnitKeys("conv{}", "bn{}", "sn{}")
    projection: ClassVar[UnitKeys] = UnitKeys("downsample.0", "downsample.1", "downsample_sn")

    def places(self, network: Network) -> Iterator[Place]:
        """Yield the places of the class that the network is of."""
        refusals = []
        try:
            yield from list(super().places(network))
        except WeightsError as error:
            refusals.append(f"as ResNet: {error}")
        else:
            return
        for known in CLASSES:
            try:
                yield from known.places(network, lambda node, place: list(self.activation(node, place)))
            except WeightsError as error:
                refusals.append(f"as {known.name}: {error}")
            else:
                return
        raise WeightsError("\n  ".join(["it is of none of the classes there", *refusals]))

    def learns_alike(self, op: Op) -> bool:
        """PLIF, and the parallel neurons that read all time-steps or a few."""
        return super().learns_alike(op) or type(op) in {ParallelSpikingNeuron, SlidingParallelSpikingNeuron}


class TorchVisionScheme(ResNetScheme):
    """``layer1.0.bn1.weight``, ``layer2.0.downsample.0.weight``: activations learn nothing."""

    name: ClassVar[str] = "torchvision"
    branch: ClassVar[UnitKeys] = UnitKeys("conv{}", "bn{}", None)
    projection: ClassVar[UnitKeys] = UnitKeys("downsample.0", "downsample.1", None)


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (NodePathScheme(), FangImageNetScheme(), FangDvsScheme(), SpikingJellyScheme(), TorchVisionScheme())
}
