"""Reader of a network as a sequence of layers and merges, as SpikingJelly's classes build it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from sewdsl.exchange.errors import MissingKeyError, WeightsError
from sewdsl.ir import structure
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Activation, Join, Merge, Op
from sewdsl.ir.wiring import UnstructuredError
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.joins import Add
from sewdsl.ops.layers.attention import ChannelAttention, SpatialAttention, TemporalAttention
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norms import BatchNorm, TemporalEffectiveBatchNorm
from sewdsl.ops.layers.pool import AvgPool, GlobalAvgPool, MaxPool
from sewdsl.ops.layers.scaling import Dropout, DropPath
from sewdsl.ops.layers.shapes import Flatten


@dataclass(frozen=True)
class LayerKeys:
    """Keys of a layer in a scheme."""

    node: Node
    prefix: str
    names: Mapping[str, str] = field(default_factory=dict)
    """Suffixes in the scheme by suffixes in sewdsl, where they differ."""
    part: int = 0
    """Index of the layer in a fused tensor, along the first axis."""
    parts: int = 1
    """Number of layers in a fused tensor."""
    ones: int = 0
    """Number of additional trailing axes of length 1 of the weights in the scheme. Negative: fewer."""


SHARED_LAYERS = {"reduce.weight": "sharedMLP.0.weight", "expand.weight": "sharedMLP.2.weight"}
NAMES: dict[type[Op], Mapping[str, str]] = {
    TemporalAttention: SHARED_LAYERS,
    ChannelAttention: SHARED_LAYERS,
    TemporalEffectiveBatchNorm: {"step_weight": "scale"},
}
"""Suffixes of keys by kind, where they differ from those in sewdsl."""
ATTENTION: dict[type[Op], str] = {TemporalAttention: "ta", ChannelAttention: "ca", SpatialAttention: "sa"}
"""Submodules of ``MultiDimensionalAttention``."""
FLAT = (GlobalAvgPool, AvgPool, Flatten, Dropout)


def standard_keys(network: Network, node: Node, prefix: str) -> LayerKeys:
    """Return the keys of a layer that SpikingJelly builds as a module of its own."""
    # On feature maps, SpikingJelly's shared MLP consists of convolutions with kernel size 1.
    ones = 0
    if isinstance(node.op, TemporalAttention | ChannelAttention) and len(network.inputs(node)[0].shape) > 1:
        ones = len(network.inputs(node)[0].shape)
    return LayerKeys(node, prefix, NAMES.get(type(node.op), {}), ones=ones)


class SequenceReader:
    """Front-to-back reader of a sequence of layers and merges.

    Args:
        activation_keys: Returns the keys of an activation for a prefix. None as the prefix: several activations share
            one module without keys.

    Attributes:
        layer_keys: Keys of the layers read so far, shared with the readers of operands.
        last: Last layer or merge that was read.
    """

    def __init__(
        self,
        network: Network,
        items: structure.Items,
        activation_keys: Callable[[Node, str | None], list[LayerKeys]],
        layer_keys: list[LayerKeys] | None = None,
        previous: Node | None = None,
    ) -> None:
        self.network, self._items, self._activation = network, list(items), activation_keys
        self.last = previous or network.nodes[0]
        self.layer_keys: list[LayerKeys] = [] if layer_keys is None else layer_keys

    @classmethod
    def of(cls, network: Network, activation_keys: Callable[[Node, str | None], list[LayerKeys]]) -> SequenceReader:
        """Return the reader of a network, or raise WeightsError if it has named values."""
        try:
            wiring = network.wiring
        except UnstructuredError as error:
            raise WeightsError("the layers do not form nested sequences") from error
        # A sequence of layers and merges cannot express named values.
        if wiring.values:
            raise MissingKeyError(network.nodes[wiring.values[0][0]], "has several readers")
        return cls(network, wiring.body, activation_keys)

    def __len__(self) -> int:
        """Return the number of layers and merges that are not read yet."""
        return len(self._items)

    @property
    def next(self) -> Node | None:
        """Next layer or merge, or None at the end."""
        if not self._items:
            return None
        item = self._items[0]
        node = self.network.nodes[item.node] if isinstance(item, structure.LayerItem | structure.MergeItem) else None
        if node is None:
            raise WeightsError("a value has several readers")
        return node

    def starts(self, *kinds: type[Op]) -> bool:
        """Return whether the next node has one of these kinds."""
        return self.next is not None and isinstance(self.next.op, kinds)

    def starts_with(self, *kinds: type[Op]) -> bool:
        """Return whether the next nodes have these kinds, in order."""
        items = self._items[: len(kinds)]
        nodes = [self.network.nodes[item.node] for item in items if isinstance(item, structure.LayerItem)]
        return len(nodes) == len(kinds) and all(map(isinstance, (node.op for node in nodes), kinds))

    def leads_to(self, kind: type[Merge]) -> bool:
        """Return whether one of the following nodes has this kind."""
        merges = (item for item in self._items if isinstance(item, structure.MergeItem))
        return any(isinstance(self.network.nodes[item.node].op, kind) for item in merges)

    def take(self, description: str, *kinds: type[Op]) -> Node:
        """Return the next node, which must have one of these kinds. ``description`` names it in the message."""
        node = self.next
        if node is None:
            raise MissingKeyError(self.last, f"has no {description} after it")
        if not isinstance(node.op, kinds):
            article = "an" if description[0] in "AEIOU" else "a"
            raise MissingKeyError(node, f"is where {article} {description} is expected")
        # The last node is named in the message if the sequence ends too early.
        self._items.pop(0)
        self.last = node
        return node

    def skip(self, *kinds: type[Op]) -> None:
        """Skip layers without weights."""
        while self.starts(*kinds):
            self.take("layer", *kinds)

    def conv(self, prefix: str, *, bias: bool, part: int = 0, parts: int = 1, flat: bool = False) -> None:
        """Read a convolution.

        Args:
            bias: Whether the convolution in SpikingJelly has a bias.
            flat: Whether it is a 1-D convolution over all positions, with kernel size 1.
        """
        node = self.take("convolution", Conv)
        if isinstance(node.op, Conv) and bool(node.op.bias) != bias:
            raise MissingKeyError(node, "must have a bias" if bias else "must not have a bias")
        if flat and isinstance(node.op, Conv) and node.op.kernel != (1, 1):
            raise MissingKeyError(node, "must have a kernel of size 1")
        self.layer_keys.append(LayerKeys(node, prefix, part=part, parts=parts, ones=-1 if flat else 0))

    def conv_norm(self, conv: str, norm: str, *, bias: bool, flat: bool = False) -> None:
        """Read a convolution and its batch norm."""
        self.conv(conv, bias=bias, flat=flat)
        self.norm(norm)

    def norm(self, prefix: str, part: int = 0, parts: int = 1) -> None:
        """Read a batch norm."""
        node = self.take("batch norm", BatchNorm)
        # The constant factor of tdBN has no key.
        if isinstance(node.op, BatchNorm) and node.op.scale != 1:
            raise MissingKeyError(node, f"has an additional factor of {node.op.scale:g}")
        self.layer_keys.append(LayerKeys(node, prefix, part=part, parts=parts))

    def neuron(self, prefix: str | None) -> None:
        """Read an activation. Without a prefix it must not be learnable."""
        self.layer_keys += self._activation(self.take("neuron", Activation), prefix)

    def unit(  # noqa: PLR0913 -- three prefixes and three options
        self, conv: str, norm: str, neuron: str, *, bias: bool, flat: bool = False, pool: bool = False
    ) -> None:
        """Read a convolution, its batch norm, an optional max pooling and an activation."""
        self.conv_norm(conv, norm, bias=bias, flat=flat)
        if pool:
            self.skip(MaxPool)
        self.neuron(neuron)

    def attention(self, prefix: str) -> None:
        """Read the attention layers that are present, in the order of ``ATTENTION``, and the ReLU after them."""
        # Without any attention layer, take() raises the error.
        if not self.starts(*ATTENTION):
            self.take("attention layer", *ATTENTION)
        for kind, part in ATTENTION.items():
            if self.starts(kind):
                node = self.take("attention layer", kind)
                self.layer_keys.append(standard_keys(self.network, node, f"{prefix}.{part}"))
        self.neuron(None)

    def linear(self, prefix: str) -> None:
        """Read a linear layer with a bias."""
        node = self.take("linear layer", Linear)
        if isinstance(node.op, Linear) and not node.op.bias:
            raise MissingKeyError(node, "must have a bias")
        self.layer_keys.append(LayerKeys(node, prefix))

    def merge(self, kind: type[Merge], count: int) -> tuple[SequenceReader, ...]:
        """Read a merge and return a reader for each operand."""
        operands = self._operands
        node = self.take(f"{getattr(kind, 'kind', 'join')} of {count} operands", kind)
        if len(operands) != count:
            raise MissingKeyError(node, f"has {len(operands)} operands, expected {count}")
        return tuple(SequenceReader(self.network, x, self._activation, self.layer_keys, self.last) for x in operands)

    def residual(self) -> SequenceReader:
        """Read an ADD with an identity shortcut and return the reader of its branch."""
        branch, shortcut = self.merge(Add, 2)
        shortcut.end()
        return branch

    def starts_identity(self) -> bool:
        """Return whether the next node is a join with an identity shortcut."""
        return self.starts(Join) and not self._operands[-1]

    @property
    def _operands(self) -> tuple[structure.Items, ...]:
        """Operands of the next node, if it is a merge."""
        item = self._items[0] if self._items else None
        return item.operands if isinstance(item, structure.MergeItem) else ()

    def end(self) -> None:
        """Check that no layer follows, except for drop path."""
        self.skip(DropPath)
        if self.next is not None:
            raise MissingKeyError(self.next, f"is not expected after {self.last.name}")

    def head(self) -> None:
        """Read the classification head: pooling and the last linear layer."""
        self.skip(*FLAT)
        self.linear("head")
        self.end()
