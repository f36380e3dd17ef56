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


_TEXT = '''\
class TdBatchNorm2d({base}):
    """Batch norm that brings a current to a threshold (tdBN, Zheng et al. 2021).

    {formula}

    Args:
        channels: Channels of the input.
        scale: alpha times the threshold of the neurons after it.
        eps: Added to the variance.
        momentum: Weight of the newest batch in the running statistics.
        weight: Where the weights of the channels start.
    """

    def __init__(
        self,
        channels: int,
        scale: float = 1.0,
        eps: float = 1e-5,
        momentum: float = 0.1,
        weight: float = 1.0,
    ) -> None:
        super().__init__(channels, eps, momentum)
        nn.init.constant_(self.weight, weight)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        return {each}

    def _normalise(self, x: Tensor) -> Tensor:
        if self.training:
            self.num_batches_tracked.add_(1)
        return nn.functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight * self.scale,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )
'''


def td_batch_norm(base: str, each: str, formula: str) -> str:
    """The text of the class.

    Args:
        base: The batch norm that it is made of.
        each: The call that normalises all time-steps as one batch.
        formula: What the class says that it computes.
    """
    return _TEXT.format(base=base, each=each, formula=formula)
