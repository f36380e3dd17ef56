"""Keys of the code for DVS data that Fang et al. 2021 released: ``dvsgesture/``, ``cifar10dvs/`` in its repository."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import ClassVar

from sewdsl.export.weights.anatomy import ConvBlock, ConvUnit, leading_unit, network_parts, split_units
from sewdsl.export.weights.error import NoPlaceError, WeightsError
from sewdsl.export.weights.scheme import Place, Scheme, UnitKeys
from sewdsl.ir.network import Network, Node, PathStep
from sewdsl.ops.layers.flatten import Flatten
from sewdsl.ops.layers.max_pool import MaxPool

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
            message = "there is no linear layer at the end"
            raise WeightsError(message)
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
                raise NoPlaceError(block.activation, "stands behind a block whose branch ends with an activation")
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
    """What stands outside of all blocks."""
    while row:
        if isinstance(row[0].op, MaxPool | Flatten):
            yield row[0]
            row = row[1:]
        else:
            unit, row = leading_unit(row)
            if unit.activation is None:
                raise NoPlaceError(unit.norm, "has no activation behind it")
            yield unit


def _call(part: Node | ConvBlock) -> tuple[PathStep, ...] | None:
    """The way to the innermost block that a node lies in; None: it is a block itself."""
    if isinstance(part, ConvBlock):
        return None
    depths = [depth for depth, step in enumerate(part.path, 1) if step.kind == "block"]
    return part.path[: depths[-1]] if depths else ()
