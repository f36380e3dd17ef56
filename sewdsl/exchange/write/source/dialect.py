"""The names that a target library uses for layers, and the classes that a file has to define itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from sewdsl.exchange.write.source.expressions import PyCall
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.light_dataclass import dataclass


class Layers(Protocol):
    """How the layers of one network are made."""

    def made(self, node: Node) -> PyCall:
        """The call that makes the module of a node.

        Raises:
            UnsupportedLayer: there is no such module.
        """

    def definitions(self) -> Sequence[str]:
        """Functions and classes that the calls need which were asked for, in order."""


@dataclass(frozen=True)
class Dialect:
    """A library.

    Attributes:
        title: What files are written in: ``plain PyTorch``.
        layers: How the layers of a network are made, from the network and the names of the file; names of classes that
            the layers need are added to these.
        imports: Modules in addition to torch, each with the names that are taken from it.
        reserved: Names that the files use, so that no block may have them.
        ready: Statements at the end of the constructor.
        begin: Statements at the beginning of a forward.
    """

    title: str
    layers: Callable[[Network, set[str]], Layers]
    imports: Mapping[str, tuple[str, ...]]
    reserved: frozenset[str]
    ready: Sequence[str] = ()
    begin: Sequence[str] = ()
