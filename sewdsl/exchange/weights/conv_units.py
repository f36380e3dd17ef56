"""A network as other libraries build it: layers in a row, and blocks of convolutions around a shortcut."""

from __future__ import annotations

from collections.abc import Sequence

from sewdsl.analysis.residual_blocks import ResidualBlock, residual_blocks
from sewdsl.exchange.errors import NoPlaceError
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Activation
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.norms import BatchNorm


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
