"""What a library's layers are called, and what has to be written out for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sewdsl.export.source.code import PyCall
from sewdsl.ir.network import Network, Node


class Layers(Protocol):
    """How the layers of one network are made."""

    def made(self, node: Node) -> PyCall:
        """The call that makes the module of a node.

        Raises:
            Refused: there is no such module.
        """

    def definitions(self) -> Sequence[str]:
        """Functions and classes that the calls need which were asked for, in order."""


@dataclass(frozen=True)
class Dialect:
    """A library.

    Attributes:
        title: What files are written in: ``plain PyTorch``.
        layers: How the layers of a network are made.
        imports: Modules beside torch, each with the names that are taken from it.
        reserved: Names that the files use, so that no block may have them.
        ready: Statements at the end of the constructor.
        begin: Statements at the beginning of a forward.
    """

    title: str
    layers: Callable[[Network], Layers]
    imports: Mapping[str, tuple[str, ...]]
    reserved: frozenset[str]
    ready: Sequence[str] = ()
    begin: Sequence[str] = ()
