"""What a scheme is: the names that a library gives to the layers of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar, NamedTuple, final

from sewdsl.exchange.errors import NoPlaceError
from sewdsl.exchange.weights.conv_units import ConvUnit
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Neuron
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.neurons.parametric_lif import PLIF

Place = tuple[Node, str]
"""A layer, and what its keys begin with."""


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
        """All layers that have weights, with what their keys begin with.

        Raises:
            NoPlaceError: the scheme has none for a layer.
        """

    @final
    def unit(self, unit: ConvUnit, names: UnitKeys, within: str = "") -> Iterator[Place]:
        """The places of a unit's layers."""
        yield unit.conv, within + names.conv
        yield unit.norm, within + names.norm
        if unit.activation is not None:
            yield from self.activation(unit.activation, names.activation and within + names.activation)

    @final
    def activation(self, node: Node, place: str | None) -> Iterator[Place]:
        """That of an activation, if it learns anything."""
        if isinstance(node.op, Neuron) and node.op.learnable():
            if place is None:
                raise NoPlaceError(node, f"learns, and {self.name} has no place for that")
            if not isinstance(node.op, PLIF):
                raise NoPlaceError(node, f"learns what no neuron of {self.name} does")
            yield node, place

    @final
    def linear(self, node: Node, place: str) -> Place:
        """That of the last layer, which is linear and has a bias."""
        if not isinstance(node.op, Linear):
            raise NoPlaceError(node, f"has no place in {self.name}")
        if not node.op.bias:
            raise NoPlaceError(node, "has no bias")
        return node, place
