"""Layers that read more than one time-step as ONNX operations, on sequences ``[T, N, *]``."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from sewdsl.exchange.write.onnx.graph_builder import NodeScope
from sewdsl.exchange.write.onnx.translate_layers import Translate, normalise, tensor_to_array
from sewdsl.snn import batch_norm, parallel_neuron, sequence_attention, streamed_past


def _numbers(place: NodeScope, name: str, tensor: Tensor) -> str:
    return place.numbers(name, tensor_to_array(tensor))


def _scaled(place: NodeScope, sequence: str, factors: str) -> str:
    """Append a sequence times factors, as the node's value ``[T·N, *]``."""
    return place.last("Reshape", place.add("Mul", sequence, factors), place.graph.sizes(-1, *place.shape))


def _temporal(place: NodeScope, module: sequence_attention.TemporalAttention, x: str) -> str:
    values = place.add("Reshape", x, place.sizes(-1, prod(place.shape)))
    given = []
    for pool in ("ReduceMean", "ReduceMax"):
        pooled = place.add(pool, values, axes=[2], keepdims=0)  # [T, N]
        hidden = place.add("Relu", place.add("MatMul", _numbers(place, "reduce.weight", module.reduce.weight), pooled))
        given.append(place.add("MatMul", _numbers(place, "expand.weight", module.expand.weight), hidden))
    factors = place.add("Sigmoid", place.add("Add", *given))
    return _scaled(place, values, place.add("Reshape", factors, place.sizes(-1, 1)))


def _channel(place: NodeScope, module: sequence_attention.ChannelAttention, x: str) -> str:
    channels, *places = place.shape
    values = place.add("Reshape", x, place.sizes(-1, channels, prod(places)))
    given = []
    for pool in ("ReduceMean", "ReduceMax"):
        pooled = place.add(pool, values, axes=[0, 3], keepdims=0)  # [N, C]
        reduce = _numbers(place, "reduce.weight", module.reduce.weight)
        hidden = place.add("Relu", place.add("Gemm", pooled, reduce, transB=1))
        given.append(place.add("Gemm", hidden, _numbers(place, "expand.weight", module.expand.weight), transB=1))
    factors = place.add("Sigmoid", place.add("Add", *given))
    return _scaled(place, values, place.add("Reshape", factors, place.graph.sizes(1, -1, channels, 1)))


def _spatial(place: NodeScope, module: sequence_attention.SpatialAttention, x: str) -> str:
    _, h, w = place.shape
    values = place.add("Reshape", x, place.sizes(-1, *place.shape))
    maps = place.graph.sizes(-1, 1, h, w)
    pooled = [
        place.add("Reshape", place.add(pool, values, axes=[0, 2], keepdims=0), maps)
        for pool in ("ReduceMean", "ReduceMax")
    ]
    pads, kernel = list(module.conv.padding) * 2, list(module.conv.kernel_size)
    weight = _numbers(place, "conv.weight", module.conv.weight)
    weighed = place.add("Conv", place.add("Concat", *pooled, axis=1), weight, kernel_shape=kernel, pads=pads)
    factors = place.add("Sigmoid", weighed)
    return _scaled(place, values, place.add("Reshape", factors, place.graph.sizes(1, -1, 1, h, w)))


def _joint(place: NodeScope, module: sequence_attention.TemporalChannelAttention, x: str) -> str:
    channels, h, w = place.shape
    values = place.add("Reshape", x, place.sizes(-1, channels, h * w))
    mean = place.add("ReduceMean", values, axes=[3], keepdims=0)  # [T, N, C]
    along_channels = _along(place, "temporal.weight", module.temporal, place.add("Transpose", mean, perm=[1, 0, 2]))
    along_time = _along(place, "channel.weight", module.channel, place.add("Transpose", mean, perm=[1, 2, 0]))
    product = place.add("Mul", along_channels, place.add("Transpose", along_time, perm=[0, 2, 1]))
    factors = place.add("Transpose", place.add("Sigmoid", product), perm=[1, 0, 2])
    return _scaled(place, values, place.add("Reshape", factors, place.sizes(-1, channels, 1)))


def _along(place: NodeScope, name: str, conv: nn.Conv1d, x: str) -> str:
    """Append a convolution that keeps the length."""
    (taps,) = conv.kernel_size
    pads = [(taps - 1) // 2, taps - 1 - (taps - 1) // 2]
    return place.add("Conv", x, _numbers(place, name, conv.weight), kernel_shape=[taps], pads=pads)


def _spikes(place: NodeScope, u: str) -> str:
    """Append 1 where potentials less thresholds are not below 0."""
    fired = place.add("GreaterOrEqual", u, place.numbers("zero", 0.0))
    return place.last("Reshape", place.add("Cast", fired, to=place.graph.type), place.graph.sizes(-1, *place.shape))


def _by_matrix(place: NodeScope, weights: tuple[str, Tensor], bias: Tensor, x: str) -> str:
    """Append parallel neurons whose potentials are a matrix, by its name, times the currents over time."""
    h = place.add("MatMul", _numbers(place, *weights), place.add("Reshape", x, place.sizes(-1)))
    return _spikes(place, place.add("Add", h, _numbers(place, "bias", bias)))


def _sliding(place: NodeScope, module: parallel_neuron.SlidingNeuron, x: str) -> str:
    """Append a convolution along time of one channel: all neurons of all samples are side by side."""
    rows = place.add("Reshape", x, place.sizes(-1))
    image = place.add("Unsqueeze", rows, place.graph.sizes(0, 1))  # [1, 1, T, N·…]
    weight = _numbers(place, "weight", module.weight.reshape(1, 1, -1, 1))
    bias = _numbers(place, "bias", module.bias.reshape(1))
    pads = [module.order - 1, 0, 0, 0]
    return _spikes(place, place.add("Conv", image, weight, bias, kernel_shape=[module.order, 1], pads=pads))


def _norm(place: NodeScope, module: batch_norm.StepScaledBatchNorm, x: str) -> str:
    sequence = place.add("Reshape", normalise(place, module, x), place.sizes(-1, *place.shape))
    weight = tensor_to_array(module.step_weight)
    return _scaled(
        place, sequence, place.numbers("step_weight", np.reshape(weight, (-1, *[1] * (len(place.shape) + 1))))
    )


def _delay(place: NodeScope, _: streamed_past.Delay, x: str) -> str:
    """Append zeros, then all time-steps but the last."""
    sequence = place.add("Reshape", x, place.sizes(-1, *place.shape))
    axes = len(place.shape) + 2
    later = place.add("Pad", sequence, place.graph.sizes(1, *[0] * (2 * axes - 1)))
    first, end, axis = place.graph.sizes(0), place.graph.sizes(-1), place.graph.sizes(0)
    return place.last("Reshape", place.add("Slice", later, first, end, axis), place.graph.sizes(-1, *place.shape))


TRANSLATIONS: dict[type[nn.Module], Translate] = {
    sequence_attention.TemporalAttention: _temporal,
    sequence_attention.ChannelAttention: _channel,
    sequence_attention.SpatialAttention: _spatial,
    sequence_attention.TemporalChannelAttention: _joint,
    parallel_neuron.ParallelNeuron: lambda place, module, x: _by_matrix(
        place, ("weight", module.weight), module.bias, x
    ),
    parallel_neuron.MaskedNeuron: lambda place, module, x: _by_matrix(
        place, ("masked_weight", torch.triu(torch.tril(module.weight), 1 - module.order)), module.bias, x
    ),
    parallel_neuron.SlidingNeuron: _sliding,
    batch_norm.StepScaledBatchNorm: _norm,
    streamed_past.Delay: _delay,
}
"""By the module's class: each reads a sequence ``[T·N, *]``."""
