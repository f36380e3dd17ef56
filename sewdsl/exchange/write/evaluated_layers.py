"""A layer of a network as it is in evaluation: what it reads, what it has learned, which norms are part of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.signal import Signal
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norms import BatchNorm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sewdsl.lower import SpikingNetwork


@dataclass(frozen=True)
class EvaluatedLayer:
    """A node to be written.

    Attributes:
        inputs: What it reads in evaluation, where dropout leaves spikes spikes.
        learned: Its parameters and buffers by torch's names, in float64.
        norms: The batch norms that alone read it, in a row, with what they have learned.
        dt: Seconds of a time-step, where a format counts time in seconds.
    """

    node: Node
    inputs: tuple[Signal, ...]
    learned: Mapping[str, Tensor]
    norms: tuple[tuple[BatchNorm, Mapping[str, Tensor]], ...]
    dtype: np.dtype[np.float64]
    dt: float

    @property
    def text(self) -> str:
        """What is written, in the compact notation."""
        return "-".join(map(str, (self.node.op, *(norm for norm, _ in self.norms))))

    def folded(self) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Return weight and bias with the norms in them; None for no bias."""
        weight, bias = self.learned["weight"], self.learned.get("bias")
        for norm, learned in self.norms:
            factor, shift = factor_and_shift(norm, learned)
            weight = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
            bias = shift if bias is None else bias * factor + shift
        return self.array(weight), None if bias is None else self.array(bias)

    def array(self, x: Tensor) -> NDArray[np.float64]:
        """Return the numbers of a tensor in the dtype of the weights."""
        found: NDArray[np.float64] = x.numpy().astype(self.dtype)
        return found


def factor_and_shift(norm: BatchNorm, learned: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return factor and shift of each channel in evaluation: y = factor · x + shift."""
    factor = norm.scale * learned["weight"] * (learned["running_var"] + norm.eps).rsqrt()
    return factor, learned["bias"] - factor * learned["running_mean"]


def evaluated_layers(model: SpikingNetwork, dt: float) -> Iterator[tuple[int, EvaluatedLayer]]:
    """Yield all nodes but the input and the batch norms that are part of others, with their indices."""
    network, hosts = model.network, foldable_norms(model.network)
    nodes = network.in_evaluation().nodes
    dtype = number_format(model)
    learned = [
        {key: value.detach().cpu().double() for key, value in model.get_submodule(node.name).state_dict().items()}
        if index
        else {}
        for index, node in enumerate(network)
    ]
    for index, node in enumerate(network):
        if index and index not in hosts:
            norms = tuple((network.nodes[i].op, learned[i]) for i, host in hosts.items() if host == index)
            inputs = tuple(nodes[i].output for i in node.sources)
            yield index, EvaluatedLayer(node, inputs, learned[index], norms, dtype, dt)  # type: ignore[arg-type]


def foldable_norms(network: Network) -> dict[int, int]:
    """Return the batch norms that can be part of a layer's weights, in order, each with that layer."""
    hosts: dict[int, int] = {}
    for index, node in enumerate(network):
        if isinstance(node.op, BatchNorm):
            (source,) = node.inputs
            foldable = source in hosts or isinstance(network.nodes[source].op, Conv | Linear)
            if foldable and network.graph.consumers[source] == (index,) and source not in network.given:
                hosts[index] = hosts.get(source, source)
    return hosts


def number_format(model: SpikingNetwork) -> np.dtype[np.float64]:
    """Return the dtype of the weights; float32 for narrower ones, which files and NumPy do not share."""
    example = model.example
    wide = torch.float32 if example is None else torch.promote_types(example.dtype, torch.float32)
    found: np.dtype[np.float64] = torch.zeros(0, dtype=wide).numpy().dtype
    return found
