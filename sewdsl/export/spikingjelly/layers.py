"""Our layers as SpikingJelly's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sewdsl.export.python.layers import LAYER_CALLS
from sewdsl.export.refusal import UnsupportedLayer
from sewdsl.export.source.code import PyCall
from sewdsl.export.source.tdbn import td_batch_norm
from sewdsl.export.spikingjelly.neurons import neuron
from sewdsl.ir.network import Network, Node
from sewdsl.ir.op import Neuron

TEXTS = {
    "TdBatchNorm2d": td_batch_norm(
        "layer.BatchNorm2d",
        "functional.seq_to_ann_forward(x, self._normalise)",
        "weight * scale * (x - mean) / sqrt(var + eps) + bias. SpikingJelly's own keeps\n"
        "    weight * scale as its weight, and so learns at another rate.",
    ),
    "GlobalAvgPool": '''\
class GlobalAvgPool(layer.AdaptiveAvgPool2d):
    """The mean of each channel: [T, N, C, H, W] to [T, N, C]."""

    def __init__(self) -> None:
        super().__init__(1)

    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        return super().forward(x).flatten(2)
''',
    "Linear": '''\
class Linear(layer.Linear):
    """A linear layer on maps: [T, N, C, H, W] to [T, N, F]."""

    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        return super().forward(x.flatten(2))
''',
}
"""Classes for what SpikingJelly does not have."""
CALLEES = {
    "nn.Linear": "layer.Linear",
    "nn.Flatten": "layer.Flatten",
    "nn.ReLU": "nn.ReLU",
    "VotingPool": "layer.VotingLayer",
}
"""What is called otherwise than in PyTorch."""


class SpikingJellyLayers:
    """The layers of a network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._used: set[str] = set()

    def made(self, node: Node) -> PyCall:
        """The call that makes the module of a node.

        Raises:
            Refused: SpikingJelly has no such layer.
        """
        if isinstance(node.op, Neuron):
            return neuron(node, node.op)
        if type(node.op) not in LAYER_CALLS:
            raise UnsupportedLayer(node, "is a layer that SpikingJelly does not have")
        torch = LAYER_CALLS[type(node.op)](node.op, *self._network.inputs(node))
        if torch.callee in TEXTS:
            self._used.add(torch.callee)
            return torch
        found = replace(torch, callee=CALLEES.get(torch.callee, f"layer.{torch.callee}"))
        if torch.callee == "nn.Flatten":
            return replace(found, args=())
        return found

    def definitions(self) -> Sequence[str]:
        """What the calls need that were asked for."""
        return [text for name, text in TEXTS.items() if name in self._used]
