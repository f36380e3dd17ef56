"""A network read from its input to its output, as classes of SpikingJelly are built: layers, and operands of merges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from sewdsl.exchange.errors import NoPlaceError, WeightsError
from sewdsl.ir import structure
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Activation, Merge, Op
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
class Place:
    """Where a scheme has the tensors of a layer.

    Attributes:
        prefix: What its keys begin with.
        names: What they end with, by the ends of our keys; those that are missing end alike.
        part: Which part of the tensors along their first axis, from 0, where several layers are one there.
        parts: How many layers that is.
        ones: How many axes of length 1 its weights have at the end in addition to ours; negative: so many fewer.
    """

    node: Node
    prefix: str
    names: Mapping[str, str] = field(default_factory=dict)
    part: int = 0
    parts: int = 1
    ones: int = 0


SHARED_LAYERS = {"reduce.weight": "sharedMLP.0.weight", "expand.weight": "sharedMLP.2.weight"}
NAMES: dict[type[Op], Mapping[str, str]] = {
    TemporalAttention: SHARED_LAYERS,
    ChannelAttention: SHARED_LAYERS,
    TemporalEffectiveBatchNorm: {"step_weight": "scale"},
}
"""What the keys of a layer's own module end with, where not as ours."""
ATTENTION: dict[type[Op], str] = {TemporalAttention: "ta", ChannelAttention: "ca", SpatialAttention: "sa"}
"""Parts of ``MultiDimensionalAttention``."""
FLAT = (GlobalAvgPool, AvgPool, Flatten, Dropout)


def layer_place(network: Network, node: Node, prefix: str, ones: int = 0) -> Place:
    """Return where SpikingJelly's own module for a layer has its weights."""
    if isinstance(node.op, TemporalAttention | ChannelAttention):
        ones = len(network.inputs(node)[0].shape) if len(network.inputs(node)[0].shape) > 1 else 0
    return Place(node, prefix, NAMES.get(type(node.op), {}), ones=ones)


class SequenceReader:
    """A sequence of layers and merges, read from its front.

    Args:
        place_activation: The places of an activation, by what its keys begin with; None: several share one there.
        after: What is before it.

    Attributes:
        places: Of the layers that were read, also by the readers of operands.
    """

    def __init__(
        self,
        network: Network,
        items: structure.Items,
        place_activation: Callable[[Node, str | None], list[Place]],
        places: list[Place] | None = None,
        after: Node | None = None,
    ) -> None:
        self.network, self._items, self._activation = network, list(items), place_activation
        self._last = after or network.nodes[0]
        self.places: list[Place] = [] if places is None else places

    @property
    def next(self) -> Node | None:
        """The layer or merge at the front; None at the end."""
        if not self._items:
            return None
        item = self._items[0]
        node = self.network.nodes[item.node] if isinstance(item, structure.LayerItem | structure.MergeItem) else None
        if node is None:
            raise WeightsError("a value is read in several places")
        return node

    def starts(self, *kinds: type[Op]) -> bool:
        """Return whether one of these is at the front."""
        return self.next is not None and isinstance(self.next.op, kinds)

    def take(self, what: str, *kinds: type[Op]) -> Node:
        """Return the layer at the front, which must be one of these: ``a convolution``."""
        node = self.next
        if node is None:
            raise NoPlaceError(self._last, f"has no {what} after it")
        if not isinstance(node.op, kinds):
            raise NoPlaceError(node, f"is where {'an' if what[0] in 'AEIOU' else 'a'} {what} belongs")
        self._items.pop(0)
        self._last = node
        return node

    def skip(self, *kinds: type[Op]) -> None:
        """Pass over layers without weights."""
        while self.starts(*kinds):
            self.take("layer", *kinds)

    def conv(self, prefix: str, *, bias: bool, part: int = 0, parts: int = 1, flat: bool = False) -> None:
        """Read a convolution.

        Args:
            bias: Whether theirs has one.
            flat: Whether theirs is one of places in a row, of kernel 1.
        """
        node = self.take("convolution", Conv)
        if isinstance(node.op, Conv) and bool(node.op.bias) != bias:
            raise NoPlaceError(node, "has no bias" if bias else "has a bias")
        if flat and isinstance(node.op, Conv) and node.op.kernel != (1, 1):
            raise NoPlaceError(node, "has another kernel than 1")
        self.places.append(Place(node, prefix, part=part, parts=parts, ones=-1 if flat else 0))

    def conv_norm(self, conv: str, norm: str, *, bias: bool, flat: bool = False) -> None:
        """Read a convolution with its norm."""
        self.conv(conv, bias=bias, flat=flat)
        self.norm(norm)

    def norm(self, prefix: str, part: int = 0, parts: int = 1) -> None:
        """Read a batch norm."""
        node = self.take("batch norm", BatchNorm)
        if isinstance(node.op, BatchNorm) and node.op.scale != 1:
            raise NoPlaceError(node, f"scales by {node.op.scale:g} next to its weight")
        self.places.append(Place(node, prefix, part=part, parts=parts))

    def neuron(self, prefix: str | None) -> None:
        """Read an activation, which has a place if it learns; None: several share one, and it may learn nothing."""
        self.places += self._activation(self.take("neuron", Activation), prefix)

    def unit(  # noqa: PLR0913 -- three names, and what may differ
        self, conv: str, norm: str, neuron: str, *, bias: bool, flat: bool = False, pool: bool = False
    ) -> None:
        """Read a convolution with its norm and its neuron, and max pooling in between if it may be there."""
        self.conv_norm(conv, norm, bias=bias, flat=flat)
        if pool:
            self.skip(MaxPool)
        self.neuron(neuron)

    def attention(self, prefix: str) -> None:
        """Read the attention that there is to time-steps, channels and places, and the ReLU after it."""
        if not self.starts(*ATTENTION):
            self.take("layer of attention", *ATTENTION)
        for kind, part in ATTENTION.items():
            if self.starts(kind):
                node = self.take("layer of attention", kind)
                self.places.append(layer_place(self.network, node, f"{prefix}.{part}"))
        self.neuron(None)

    def linear(self, prefix: str) -> None:
        """Read a linear layer with a bias."""
        node = self.take("linear layer", Linear)
        if isinstance(node.op, Linear) and not node.op.bias:
            raise NoPlaceError(node, "has no bias")
        self.places.append(Place(node, prefix))

    def merge(self, kind: type[Merge], count: int) -> tuple[SequenceReader, ...]:
        """Return the operands of the merge at the front."""
        operands = self._operands
        node = self.take(f"{kind.kind} of {count} operands", kind)
        if len(operands) != count:
            raise NoPlaceError(node, f"has {len(operands)} operands, not {count}")
        return tuple(SequenceReader(self.network, x, self._activation, self.places, self._last) for x in operands)

    def residual(self) -> SequenceReader:
        """Return the branch of an ADD at the front whose shortcut is the identity."""
        branch, shortcut = self.merge(Add, 2)
        shortcut.end()
        return branch

    def starts_identity(self) -> bool:
        """Return whether an ADD is at the front whose shortcut is the identity."""
        return self.starts(Add) and not self._operands[-1]

    @property
    def _operands(self) -> tuple[structure.Items, ...]:
        """Those of the merge at the front; none: there is none."""
        item = self._items[0] if self._items else None
        return item.operands if isinstance(item, structure.MergeItem) else ()

    def end(self) -> None:
        """Check that no layer follows; dropped branches are no layer."""
        self.skip(DropPath)
        if self.next is not None:
            raise NoPlaceError(self.next, f"has no place after {self._last.name}")

    def head(self, prefix: str = "head") -> None:
        """Read the average over places, and the last linear layer."""
        self.skip(*FLAT)
        self.linear(prefix)
        self.end()
