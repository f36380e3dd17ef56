"""Key schemes: sewdsl's node paths, the code of Fang et al. 2021, SpikingJelly and torchvision.

All except node paths assume a sequence of layers and residual blocks of convolutions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, NamedTuple, final

from sewdsl.analysis.residual_blocks import residual_blocks
from sewdsl.exchange.errors import MissingKeyError, WeightsError
from sewdsl.exchange.weights.sequence_reader import FLAT, LayerKeys, SequenceReader
from sewdsl.exchange.weights.spikingjelly_classes import CLASSES
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node, PathStep
from sewdsl.ir.op import JOIN_OPERANDS, Activation, Join, Merge, Neuron, Op, ParallelNeuron
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norms import BatchNorm
from sewdsl.ops.layers.pool import AvgPool, MaxPool
from sewdsl.ops.layers.shapes import Flatten
from sewdsl.ops.neurons.integrate_and_fire import PLIF
from sewdsl.ops.neurons.parallel import ParallelSpikingNeuron, SlidingParallelSpikingNeuron


class UnitKeys(NamedTuple):
    """Prefixes of the keys of a convolution, its batch norm, and the activation after it.

    An activation without a prefix must not be learnable.
    """

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

    def learns_alike(self, op: Op) -> bool:
        """Return whether the library has a neuron with the same learnable parameters and keys."""
        return isinstance(op, PLIF)

    @final
    def activation(self, node: Node, prefix: str | None) -> list[LayerKeys]:
        """Return the keys of an activation, none if it is not learnable."""
        if not (isinstance(node.op, ParallelNeuron) or (isinstance(node.op, Neuron) and node.op.learnable())):
            return []
        if prefix is None:
            raise MissingKeyError(node, f"is learnable, but {self.name} has no key for it")
        if not self.learns_alike(node.op):
            raise MissingKeyError(node, f"has learnable parameters that no neuron of {self.name} has")
        return [LayerKeys(node, prefix)]

    @final
    def unit(self, reader: SequenceReader, names: UnitKeys, within: str = "", bare: UnitKeys | None = None) -> None:
        """Read a convolution without bias, its batch norm, and the activation after it, if any.

        Args:
            bare: Names of a unit without activation, if they differ.
        """
        node = reader.next
        if node is not None and isinstance(node.op, Merge):
            raise MissingKeyError(node, "is not part of a plain sequence of layers")
        if bare is not None and not reader.starts_with(Conv, BatchNorm, Activation):
            names = bare
        reader.conv(within + names.conv, bias=False)
        if not reader.starts(BatchNorm):
            raise MissingKeyError(reader.last, "has no batch norm after it")
        reader.norm(within + names.norm)
        if reader.starts(Activation):
            reader.neuron(names.activation and within + names.activation)

    @final
    def operands(self, reader: SequenceReader) -> tuple[SequenceReader, SequenceReader]:
        """Read a join and return the readers of its branch, which has a layer, and its shortcut."""
        branch, shortcut = reader.merge(Join, len(JOIN_OPERANDS))
        if branch.next is None:
            raise MissingKeyError(reader.last, "has no convolutions in its branch")
        return branch, shortcut

    @final
    def output(self, reader: SequenceReader, branch: SequenceReader, prefix: str | None) -> None:
        """Read the activation after a join, if it belongs to the block."""
        node = reader.next
        blocks = residual_blocks(reader.network)
        if node is not None and any(node is reader.network.nodes[block.activation or 0] for block in blocks):
            if isinstance(branch.last.op, Activation):
                raise MissingKeyError(node, "follows a block whose branch ends with an activation")
            reader.neuron(prefix)

    @final
    def linear(self, reader: SequenceReader, prefix: str) -> None:
        """Read the last layer, which must be linear with a bias."""
        if reader.next is not None and not reader.starts(Linear):
            raise MissingKeyError(reader.next, f"has no key in {self.name}")
        reader.linear(prefix)


class NodePathScheme(Scheme):
    """``sew_block1.branch.conv1.weight``: node paths, for every network."""

    name: ClassVar[str] = "sewdsl"

    def layer_keys(self, network: Network) -> Iterator[LayerKeys]:
        """Yield the name of every node as its prefix."""
        for node in network:
            yield LayerKeys(node, node.name)


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
        reader = SequenceReader.of(network, self.activation)
        if not reader.leads_to(Join):
            raise WeightsError("the network has no residual block of convolutions")
        if reader.starts(Join):
            raise WeightsError("the network has no convolution before the first block")
        self.unit(reader, UnitKeys("conv1", "bn1", self.unit_keys(1).activation))
        reader.skip(MaxPool, AvgPool)
        stage, block, where = 1, 0, "the stem and the first block"
        while reader.leads_to(Join):
            node = reader.next
            if node is not None and not reader.starts(Join):
                raise MissingKeyError(node, f"is between {where}")
            if block and not reader.starts_identity():
                stage, block = stage + 1, 0
            self._block(reader, f"layer{stage}.{block}.")
            block, where = block + 1, "two blocks"
        reader.skip(*FLAT)
        if reader.next is None:
            raise WeightsError("the network has no linear layer after the last block")
        self.linear(reader, "fc")
        reader.skip(*FLAT)
        if reader.next is not None:
            raise MissingKeyError(reader.next, "follows the linear layer")
        yield from reader.layer_keys

    def _block(self, reader: SequenceReader, within: str) -> None:
        branch, shortcut = self.operands(reader)
        index = 0
        while branch.next is not None:
            index += 1
            self.unit(branch, self.unit_keys(index), within)
        if shortcut.next is not None:
            self.unit(shortcut, self.projection, within, self.bare_projection)
        # ResNets have a single convolution in a projection.
        if shortcut.next is not None:
            raise MissingKeyError(shortcut.next, "is the second convolution of a projection")
        activation = self.unit_keys(index).activation
        self.output(reader, branch, activation and within + activation)


class FangImageNetScheme(ResNetScheme):
    """``layer2.0.conv1.module.0.weight``: a container for each convolution and its norm, except in the stem."""

    name: ClassVar[str] = "authors"
    scalar: ClassVar[tuple[int, ...]] = (1,)  # As in SpikingJelly at the time.
    omitted: ClassVar[str] = ".module"  # Later versions of SpikingJelly have no such level.

    branch: ClassVar[UnitKeys] = UnitKeys("conv{}.module.0", "conv{}.module.1", "sn{}")
    projection: ClassVar[UnitKeys] = UnitKeys("downsample.0.module.0", "downsample.0.module.1", "downsample.1")
    bare_projection: ClassVar[UnitKeys | None] = UnitKeys("downsample.module.0", "downsample.module.1", None)


class FangDvsScheme(Scheme):
    """``conv.1.conv.0.0.module.0.weight``: one numbered sequence of all layers except the last, including pooling.

    Blocks have an identity shortcut. Plain blocks, whose layers share a number, have none.
    """

    name: ClassVar[str] = "authors-dvs"
    scalar: ClassVar[tuple[int, ...]] = (1,)  # As in SpikingJelly at the time.
    omitted: ClassVar[str] = ".module"  # Later versions of SpikingJelly have no such level.

    def layer_keys(self, network: Network) -> Iterator[LayerKeys]:
        """Yield the keys of ``conv.0``, ``conv.1`` and so on, and ``out``."""
        reader = SequenceReader.of(network, self.activation)
        index = 0
        while (node := reader.next) is not None and (len(reader) > 1 or isinstance(node.op, Join)):
            within = f"conv.{index}."
            if isinstance(node.op, Join):
                self._block(reader, within)
            elif call := _call(node):
                row = 0
                while len(reader) > 1 and _call(reader.next) == call and not reader.starts(Join):
                    self._unit(reader, row, f"{within}conv.")
                    row += 1
            elif not reader.starts(MaxPool, Flatten):
                self.unit(reader, UnitKeys("0.module.0", "0.module.1", "1"), within)
                if not isinstance(reader.last.op, Activation):
                    raise MissingKeyError(reader.last, "has no activation after it")
            else:
                reader.take("layer", MaxPool, Flatten)
            index += 1
        if reader.next is None:
            raise WeightsError("the network has no linear layer at the end")
        self.linear(reader, "out")
        yield from reader.layer_keys

    def _block(self, reader: SequenceReader, within: str) -> None:
        branch, shortcut = self.operands(reader)
        if shortcut.next is not None:
            raise MissingKeyError(shortcut.next, "is a projection")
        row = 0
        while branch.next is not None:
            self._unit(branch, row, f"{within}conv.")
            row += 1
        self.output(reader, branch, f"{within}sn")

    def _unit(self, reader: SequenceReader, row: int, within: str) -> None:
        names = (f"{row}{inner}.module." for inner in (".0", ""))
        fires, bare = (UnitKeys(f"{container}0", f"{container}1", f"{row}.1") for container in names)
        self.unit(reader, fires, within, bare)


def _call(node: Node | None) -> tuple[PathStep, ...]:
    """Return the path of the innermost block call around a node, empty outside of blocks."""
    path = () if node is None else node.path
    return path[: max((depth for depth, step in enumerate(path, 1) if step.kind == "block"), default=0)]


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
                yield from model_class.layer_keys(network, self.activation)
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
