"""Key schemes: sewdsl's node paths, the code of Fang et al. 2021, SpikingJelly and torchvision.

All except node paths assume a sequence of layers and residual blocks of convolutions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import ClassVar, NamedTuple, final

from sewdsl.analysis.residual_blocks import ResidualBlock, residual_blocks
from sewdsl.exchange.errors import MissingKeyError, WeightsError
from sewdsl.exchange.weights.sequence_reader import FLAT, LayerKeys
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
    """Convolution without bias, its batch norm, and the activation after it, if any."""

    conv: Node
    norm: Node
    activation: Node | None = None


@dataclass(frozen=True)
class ConvBlock:
    """Residual block of convolutions."""

    branch: tuple[ConvUnit, ...]
    """Units of the branch, at least one."""
    shortcut: tuple[ConvUnit, ...]
    """Units of the projection. Empty for an identity shortcut."""
    activation: Node | None
    """Activation of the join's output, if the join has no other readers."""


def network_parts(network: Network) -> tuple[Node | ConvBlock, ...]:
    """Return the layers and blocks of a network in order, without its input.

    Raises:
        MissingKeyError: If a join is nested in a branch, or does not merge convolutions with a shortcut.
    """
    parts: list[Node | ConvBlock] = []
    index = 1
    # By first node; an outer block overrides an inner one with the same start.
    joins = {residual.source + 1: residual for residual in residual_blocks(network)}
    while index < len(network):
        residual = joins.get(index)
        parts.append(network.nodes[index] if residual is None else _block(network, residual))
        index = (index if residual is None else residual.end) + 1
    return tuple(parts)


def _block(network: Network, residual: ResidualBlock) -> ConvBlock:
    join = network.nodes[residual.join]
    branch, shortcut = (_row(network, index, residual.source) for index in join.inputs)
    if not branch:
        raise MissingKeyError(join, "has no convolutions in its branch")
    activation = None if residual.activation is None else network.nodes[residual.activation]
    return ConvBlock(split_units(branch), split_units(shortcut), activation)


def _row(network: Network, index: int, source: int) -> list[Node]:
    """Return the nodes on the path from ``source`` (exclusive) to a node (inclusive)."""
    row: list[Node] = []
    while index != source:
        node = network.nodes[index]
        if len(node.inputs) != 1:
            raise MissingKeyError(node, "is not part of a plain sequence of layers")
        row.append(node)
        (index,) = node.inputs
    return row[::-1]


def split_units(row: Sequence[Node]) -> tuple[ConvUnit, ...]:
    """Split a sequence of layers into units."""
    units = []
    while row:
        unit, row = leading_unit(row)
        units.append(unit)
    return tuple(units)


def leading_unit(row: Sequence[Node]) -> tuple[ConvUnit, Sequence[Node]]:
    """Return the first unit of a sequence, and the remaining layers."""
    conv, *following = row
    if not isinstance(conv.op, Conv):
        raise MissingKeyError(conv, "is where a convolution is expected")
    if conv.op.bias:
        raise MissingKeyError(conv, "must not have a bias")
    if not (following and isinstance(following[0].op, BatchNorm)):
        raise MissingKeyError(conv, "has no batch norm after it")
    norm, *following = following
    # tdBN has an additional constant factor, for which the scheme has no key.
    if isinstance(norm.op, BatchNorm) and norm.op.scale != 1:
        raise MissingKeyError(norm, f"has an additional factor of {norm.op.scale:g}")
    if following and isinstance(following[0].op, Activation):
        return ConvUnit(conv, norm, following[0]), following[1:]
    return ConvUnit(conv, norm), following


class UnitKeys(NamedTuple):
    """Prefixes of the keys of a unit. An activation without a prefix must not be learnable."""

    conv: str
    norm: str
    activation: str | None


class Scheme(ABC):
    """Naming of weights in a library."""

    name: ClassVar[str]
    """Name on the command line."""
    scalar: ClassVar[tuple[int, ...]] = ()
    """Shape of the learnable scalar of a neuron."""
    omitted: ClassVar[str] = ""
    """Part of the keys that other versions of the library omit. Both spellings are read."""

    @abstractmethod
    def layer_keys(self, network: Network) -> Iterator[LayerKeys]:
        """Return the keys of all layers with weights, or raise MissingKeyError for a layer without one."""

    @final
    def unit(self, unit: ConvUnit, names: UnitKeys, within: str = "") -> Iterator[LayerKeys]:
        """Yield the keys of the layers of a unit."""
        yield LayerKeys(unit.conv, within + names.conv)
        yield LayerKeys(unit.norm, within + names.norm)
        if unit.activation is not None:
            yield from self.activation(unit.activation, names.activation and within + names.activation)

    def learns_alike(self, op: Op) -> bool:
        """Return whether the library has a neuron with the same learnable parameters and keys."""
        return isinstance(op, PLIF)

    @final
    def activation(self, node: Node, prefix: str | None) -> Iterator[LayerKeys]:
        """Yield the keys of an activation, if it is learnable."""
        if isinstance(node.op, ParallelNeuron) or (isinstance(node.op, Neuron) and node.op.learnable()):
            if prefix is None:
                raise MissingKeyError(node, f"is learnable, but {self.name} has no key for it")
            if not self.learns_alike(node.op):
                raise MissingKeyError(node, f"has learnable parameters that no neuron of {self.name} has")
            yield LayerKeys(node, prefix)

    @final
    def linear(self, node: Node, prefix: str) -> LayerKeys:
        """Return the keys of the last layer, which must be linear with a bias."""
        if not isinstance(node.op, Linear):
            raise MissingKeyError(node, f"has no key in {self.name}")
        if not node.op.bias:
            raise MissingKeyError(node, "must have a bias")
        return LayerKeys(node, prefix)


class NodePathScheme(Scheme):
    """``sew_block1.branch.conv1.weight``: node paths, for every network."""

    name: ClassVar[str] = "sewdsl"

    def layer_keys(self, network: Network) -> Iterator[LayerKeys]:
        """Yield the name of every node as its prefix."""
        for node in network:
            yield LayerKeys(node, node.name)


POOLS = (MaxPool, AvgPool)


class ResNetScheme(Scheme):
    """Stem (convolution, batch norm, activation, optional pooling), residual blocks, and one linear layer.

    A stage starts with the first block, and with every later block that has a projection.
    """

    branch: ClassVar[UnitKeys]
    """Names of a unit in the branch. ``{}`` is the index of the unit, from 1."""
    projection: ClassVar[UnitKeys]
    bare_projection: ClassVar[UnitKeys | None] = None
    """Names of a projection without activation, if they differ."""

    def unit_keys(self, index: int) -> UnitKeys:
        """Return the names of a unit in the branch, by its index from 1."""
        conv, norm, activation = self.branch
        return UnitKeys(conv.format(index), norm.format(index), activation and activation.format(index))

    def layer_keys(self, network: Network) -> Iterator[LayerKeys]:
        """Yield the keys of the stem, ``layer1.0`` and so on, and ``fc``."""
        parts = network_parts(network)
        block_indices = [index for index, part in enumerate(parts) if isinstance(part, ConvBlock)]
        if not block_indices:
            raise WeightsError("the network has no residual block of convolutions")
        yield from self._stem([part for part in parts[: block_indices[0]] if isinstance(part, Node)])
        stage, block = 1, 0
        for part in parts[block_indices[0] : block_indices[-1] + 1]:
            if isinstance(part, Node):
                raise MissingKeyError(part, "is between two blocks")
            if part.shortcut and block:
                stage, block = stage + 1, 0
            yield from self._block(part, f"layer{stage}.{block}.")
            block += 1
        yield from self._head([part for part in parts[block_indices[-1] + 1 :] if isinstance(part, Node)])

    def _stem(self, row: Sequence[Node]) -> Iterator[LayerKeys]:
        if not row:
            raise WeightsError("the network has no convolution before the first block")
        unit, following = leading_unit(row)
        yield from self.unit(unit, UnitKeys("conv1", "bn1", self.unit_keys(1).activation))
        for node in following:
            if not isinstance(node.op, POOLS):
                raise MissingKeyError(node, "is between the stem and the first block")

    def _block(self, block: ConvBlock, within: str) -> Iterator[LayerKeys]:
        for index, unit in enumerate(block.branch, 1):
            yield from self.unit(unit, self.unit_keys(index), within)
        for unit in block.shortcut[:1]:
            names = None if unit.activation else self.bare_projection
            yield from self.unit(unit, names or self.projection, within)
        # ResNets have a single convolution in a projection.
        for unit in block.shortcut[1:]:
            raise MissingKeyError(unit.conv, "is the second convolution of a projection")
        if block.activation is not None:
            if block.branch[-1].activation:
                raise MissingKeyError(block.activation, "follows a block whose branch ends with an activation")
            activation = self.unit_keys(len(block.branch)).activation
            yield from self.activation(block.activation, activation and within + activation)

    def _head(self, row: Sequence[Node]) -> Iterator[LayerKeys]:
        layers = [node for node in row if not isinstance(node.op, FLAT)]
        if not layers:
            raise WeightsError("the network has no linear layer after the last block")
        yield self.linear(layers[0], "fc")
        for node in layers[1:]:
            raise MissingKeyError(node, "follows the linear layer")


class FangImageNetScheme(ResNetScheme):
    """``layer2.0.conv1.module.0.weight``: a container for each convolution and its norm, except in the stem."""

    name: ClassVar[str] = "authors"
    scalar: ClassVar[tuple[int, ...]] = (1,)  # As in SpikingJelly at the time.
    omitted: ClassVar[str] = ".module"  # Later versions of SpikingJelly have no such level.

    branch: ClassVar[UnitKeys] = UnitKeys("conv{}.module.0", "conv{}.module.1", "sn{}")
    projection: ClassVar[UnitKeys] = UnitKeys("downsample.0.module.0", "downsample.0.module.1", "downsample.1")
    bare_projection: ClassVar[UnitKeys | None] = UnitKeys("downsample.module.0", "downsample.module.1", None)


Item = ConvBlock | ConvUnit | tuple[ConvUnit, ...] | Node
"""Numbered entry of the sequence: block, convolution, plain block without a shortcut, or pool."""


class FangDvsScheme(Scheme):
    """``conv.1.conv.0.0.module.0.weight``: one numbered sequence of all layers except the last, including pooling.

    Blocks have an identity shortcut. Plain blocks have none.
    """

    name: ClassVar[str] = "authors-dvs"
    scalar: ClassVar[tuple[int, ...]] = (1,)  # As in SpikingJelly at the time.
    omitted: ClassVar[str] = ".module"  # Later versions of SpikingJelly have no such level.

    def layer_keys(self, network: Network) -> Iterator[LayerKeys]:
        """Yield the keys of ``conv.0``, ``conv.1`` and so on, and ``out``."""
        *body, last = network_parts(network)
        if isinstance(last, ConvBlock):
            raise WeightsError("the network has no linear layer at the end")
        for index, item in enumerate(_items(body)):
            within = f"conv.{index}."
            if isinstance(item, ConvBlock):
                yield from self._block(item, within)
            elif isinstance(item, ConvUnit):
                yield from self.unit(item, UnitKeys("0.module.0", "0.module.1", "1"), within)
            elif isinstance(item, tuple):
                yield from self._row(item, f"{within}conv.")
        yield self.linear(last, "out")

    def _block(self, block: ConvBlock, within: str) -> Iterator[LayerKeys]:
        for unit in block.shortcut[:1]:
            raise MissingKeyError(unit.conv, "is a projection")
        yield from self._row(block.branch, f"{within}conv.")
        if block.activation is not None:
            if block.branch[-1].activation:
                raise MissingKeyError(block.activation, "follows a block whose branch ends with an activation")
            yield from self.activation(block.activation, f"{within}sn")

    def _row(self, row: Sequence[ConvUnit], within: str) -> Iterator[LayerKeys]:
        for index, unit in enumerate(row):
            container = f"{index}.module." if unit.activation is None else f"{index}.0.module."
            yield from self.unit(unit, UnitKeys(f"{container}0", f"{container}1", f"{index}.1"), within)


def _items(body: Sequence[Node | ConvBlock]) -> Iterator[Item]:
    """Yield the numbered entries: a block call without a shortcut is one entry."""
    # Consecutive layers of one block call form a plain block, whose layers share a number.
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
            yield from _units_outside_calls(nodes)


def _units_outside_calls(row: Sequence[Node]) -> Iterator[ConvUnit | Node]:
    """Yield the units, pools and flattenings outside of blocks."""
    while row:
        if isinstance(row[0].op, MaxPool | Flatten):
            yield row[0]
            row = row[1:]
        else:
            unit, row = leading_unit(row)
            if unit.activation is None:
                raise MissingKeyError(unit.norm, "has no activation after it")
            yield unit


def _call(part: Node | ConvBlock) -> tuple[PathStep, ...] | None:
    """Return the path of the innermost block call around a node, or None for a residual block."""
    if isinstance(part, ConvBlock):
        return None
    depths = [depth for depth, step in enumerate(part.path, 1) if step.kind == "block"]
    return part.path[: depths[-1]] if depths else ()


class SpikingJellyScheme(ResNetScheme):
    """``layer1.0.bn1.weight``, ``layer1.0.sn1.w``, ``layer2.0.downsample_sn.w``: as torchvision, with neurons.

    ``SEWResNet`` and ``SpikingResNet`` have these keys. Any other network must match one of :data:`CLASSES`.
    """

    name: ClassVar[str] = "spikingjelly"
    branch: ClassVar[UnitKeys] = UnitKeys("conv{}", "bn{}", "sn{}")
    projection: ClassVar[UnitKeys] = UnitKeys("downsample.0", "downsample.1", "downsample_sn")

    def layer_keys(self, network: Network) -> Iterator[LayerKeys]:
        """Yield the keys of the first class that the network matches."""
        refusals = []
        try:
            # A list: raise the error before the first key is yielded.
            yield from list(super().layer_keys(network))
        except WeightsError as error:
            refusals.append(f"as ResNet: {error}")
        else:
            return
        for model_class in CLASSES:
            try:
                yield from model_class.layer_keys(network, lambda node, prefix: list(self.activation(node, prefix)))
            except WeightsError as error:
                refusals.append(f"as {model_class.name}: {error}")
            else:
                return
        raise WeightsError("\n  ".join(["the network matches no SpikingJelly class:", *refusals]))

    def learns_alike(self, op: Op) -> bool:
        """Return True for PLIF, PSN and sliding PSN."""
        return super().learns_alike(op) or type(op) in {ParallelSpikingNeuron, SlidingParallelSpikingNeuron}


class TorchVisionScheme(ResNetScheme):
    """``layer1.0.bn1.weight``, ``layer2.0.downsample.0.weight``: activations are not learnable."""

    name: ClassVar[str] = "torchvision"
    branch: ClassVar[UnitKeys] = UnitKeys("conv{}", "bn{}", None)
    projection: ClassVar[UnitKeys] = UnitKeys("downsample.0", "downsample.1", None)


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (NodePathScheme(), FangImageNetScheme(), FangDvsScheme(), SpikingJellyScheme(), TorchVisionScheme())
}
