"""Layers in evaluation mode, as exports see them: inputs, parameters, and the batch norms folded into them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sewdsl.analysis.foldable_norms import foldable_norms
from sewdsl.ir.node import Node
from sewdsl.ir.signal import Signal
from sewdsl.light_dataclass import dataclass
from sewdsl.ops.layers.norms import BatchNorm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sewdsl.lower import SpikingNetwork


@dataclass(frozen=True)
class EvaluatedLayer:
    """Node to export."""

    node: Node
    inputs: tuple[Signal, ...]
    """Input signals in evaluation mode, where dropout preserves spikes."""
    learned: Mapping[str, Tensor]
    """Parameters and buffers by their names in the module, in float64."""
    norms: tuple[tuple[BatchNorm, Mapping[str, Tensor]], ...]
    """Consecutive batch norms that are its only readers, with their parameters."""
    dtype: np.dtype[np.float64]
    """Dtype of the weights in the file."""
    dt: float
    """Duration of a time-step in seconds, for formats that use seconds."""

    @property
    def text(self) -> str:
        """Layer and folded norms in compact notation."""
        return "-".join(map(str, (self.node.op, *(norm for norm, _ in self.norms))))

    def folded(self) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Return weight and bias with the batch norms folded in. The bias may be None."""
        weight, bias = self.learned["weight"], self.learned.get("bias")
        if "weight_mask" in self.learned:
            weight = weight * self.learned["weight_mask"]
        for norm, learned in self.norms:
            factor, shift = factor_and_shift(norm, learned)
            weight = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
            bias = shift if bias is None else bias * factor + shift
        return self.array(weight), None if bias is None else self.array(bias)

    def array(self, x: Tensor) -> NDArray[np.float64]:
        """Return a tensor as an array in the dtype of the weights."""
        array: NDArray[np.float64] = x.numpy().astype(self.dtype)
        return array


def factor_and_shift(norm: BatchNorm, learned: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return scale and shift per channel in evaluation mode: y = factor · x + shift.

    Norms with statistics of each time-step have ``[T, C]`` numbers.
    """
    factor = getattr(norm, "scale", 1.0) * learned["weight"] * (learned["running_var"] + norm.eps).rsqrt()
    return factor, learned.get("bias", 0.0) - factor * learned["running_mean"]


def evaluated_layers(
    model: SpikingNetwork, dt: float = 1.0, dtype: np.dtype[np.float64] | None = None
) -> Iterator[tuple[int, EvaluatedLayer]]:
    """Yield all nodes with their indices, except for inputs and folded batch norms.

    Args:
        dtype: Dtype of the weights. The default is that of the model.
    """
    network, hosts = model.network, foldable_norms(model.network)
    nodes = network.in_evaluation().nodes
    dtype = number_format(model) if dtype is None else dtype
    # float64, so that folding rounds once, when the weights are converted to the dtype of the file.
    learned = [
        {key: value.detach().cpu().double() for key, value in model.get_submodule(node.name).state_dict().items()}
        if index >= network.first_layer
        else {}
        for index, node in enumerate(network)
    ]
    for index, node in enumerate(network):
        if index >= network.first_layer and index not in hosts:
            norms = tuple((network.nodes[i].op, learned[i]) for i, host in hosts.items() if host == index)
            inputs = tuple(nodes[i].output for i in node.sources)
            yield index, EvaluatedLayer(node, inputs, learned[index], norms, dtype, dt)  # type: ignore[arg-type]


def number_format(model: SpikingNetwork) -> np.dtype[np.float64]:
    """Return the dtype of the weights, at least float32."""
    # NumPy has no bfloat16, and few file formats do.
    example = model.example
    compute_dtype = torch.float32 if example is None else torch.promote_types(example.dtype, torch.float32)
    dtype: np.dtype[np.float64] = torch.zeros(0, dtype=compute_dtype).numpy().dtype
    return dtype
