"""What a way to name weights has to say: for each layer, where its tensors are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import ClassVar, NamedTuple, final

from sewdsl.exchange.errors import NoPlaceError
from sewdsl.exchange.weights.conv_units import ConvUnit
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Neuron, Op, ParallelNeuron
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.neurons.integrate_and_fire import PLIF


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
        """All layers that have weights, and where they are.

        Raises:
            NoPlaceError: the scheme has none for a layer.
        """

    @final
    def unit(self, unit: ConvUnit, names: UnitKeys, within: str = "") -> Iterator[Place]:
        """The places of a unit's layers."""
        yield Place(unit.conv, within + names.conv)
        yield Place(unit.norm, within + names.norm)
        if unit.activation is not None:
            yield from self.activation(unit.activation, names.activation and within + names.activation)

    def learns_alike(self, op: Op) -> bool:
        """Whether the library has a neuron that learns what ours does, by the same keys."""
        return isinstance(op, PLIF)

    @final
    def activation(self, node: Node, place: str | None) -> Iterator[Place]:
        """That of an activation, if it learns anything."""
        if isinstance(node.op, ParallelNeuron) or (isinstance(node.op, Neuron) and node.op.learnable()):
            if place is None:
                raise NoPlaceError(node, f"learns, and {self.name} has no place for that")
            if not self.learns_alike(node.op):
                raise NoPlaceError(node, f"learns what no neuron of {self.name} does")
            yield Place(node, place)

    @final
    def linear(self, node: Node, place: str) -> Place:
        """That of the last layer, which is linear and has a bias."""
        if not isinstance(node.op, Linear):
            raise NoPlaceError(node, f"has no place in {self.name}")
        if not node.op.bias:
            raise NoPlaceError(node, "has no bias")
        return Place(node, place)
