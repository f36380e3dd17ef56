"""Translation of layers that read several time-steps, on sequences ``[T, N, *]``."""

from __future__ import annotations

from copy import deepcopy
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from sewdsl.exchange.write.onnx.graph_builder import NodeScope
from sewdsl.exchange.write.onnx.translate_layers import Translate, normalise, tensor_to_array
from sewdsl.snn import (
    batch_norm,
    layers,
    merges,
    parallel_neuron,
    sequence_attention,
    streamed_past,
    time_filters,
    tokens,
)


def _numbers(scope: NodeScope, name: str, tensor: Tensor) -> str:
    return scope.constant(name, tensor_to_array(tensor))


def _scaled(scope: NodeScope, sequence: str, factors: str) -> str:
    """Append the product of a sequence and factors, as the node's value ``[T·N, *]``."""
    return scope.add_output("Reshape", scope.add("Mul", sequence, factors), scope.graph.sizes(-1, *scope.shape))


def _temporal(scope: NodeScope, module: sequence_attention.TemporalAttention, x: str) -> str:
    """Append temporal attention: factors per time-step and sample."""
    values = scope.add("Reshape", x, scope.sizes(-1, prod(scope.shape)))
    branches = []
    for pool in ("ReduceMean", "ReduceMax"):
        pooled = scope.add(pool, values, axes=[2], keepdims=0)  # [T, N]
        hidden = scope.add("Relu", scope.add("MatMul", _numbers(scope, "reduce.weight", module.reduce.weight), pooled))
        branches.append(scope.add("MatMul", _numbers(scope, "expand.weight", module.expand.weight), hidden))
    factors = scope.add("Sigmoid", scope.add("Add", *branches))
    return _scaled(scope, values, scope.add("Reshape", factors, scope.sizes(-1, 1)))


def _channel(scope: NodeScope, module: sequence_attention.ChannelAttention, x: str) -> str:
    """Append channel attention: factors per sample and channel, over all time-steps."""
    channels, *positions = scope.shape
    values = scope.add("Reshape", x, scope.sizes(-1, channels, prod(positions)))
    branches = []
    for pool in ("ReduceMean", "ReduceMax"):
        pooled = scope.add(pool, values, axes=[0, 3], keepdims=0)  # [N, C]
        reduce = _numbers(scope, "reduce.weight", module.reduce.weight)
        hidden = scope.add("Relu", scope.add("Gemm", pooled, reduce, transB=1))
        branches.append(scope.add("Gemm", hidden, _numbers(scope, "expand.weight", module.expand.weight), transB=1))
    factors = scope.add("Sigmoid", scope.add("Add", *branches))
    return _scaled(scope, values, scope.add("Reshape", factors, scope.graph.sizes(1, -1, channels, 1)))


def _spatial(scope: NodeScope, module: sequence_attention.SpatialAttention, x: str) -> str:
    """Append spatial attention: factors per sample and position, over all time-steps."""
    _, h, w = scope.shape
    values = scope.add("Reshape", x, scope.sizes(-1, *scope.shape))
    maps = scope.graph.sizes(-1, 1, h, w)
    pooled = [
        scope.add("Reshape", scope.add(pool, values, axes=[0, 2], keepdims=0), maps)
        for pool in ("ReduceMean", "ReduceMax")
    ]
    # The convolution sees the mean and the maximum as two channels.
    pads, kernel = list(module.conv.padding) * 2, list(module.conv.kernel_size)
    weight = _numbers(scope, "conv.weight", module.conv.weight)
    weighed = scope.add("Conv", scope.add("Concat", *pooled, axis=1), weight, kernel_shape=kernel, pads=pads)
    factors = scope.add("Sigmoid", weighed)
    return _scaled(scope, values, scope.add("Reshape", factors, scope.graph.sizes(1, -1, 1, h, w)))


def _joint(scope: NodeScope, module: sequence_attention.TemporalChannelAttention, x: str) -> str:
    """Append temporal-channel attention: factors per time-step, sample and channel."""
    channels, h, w = scope.shape
    values = scope.add("Reshape", x, scope.sizes(-1, channels, h * w))
    mean = scope.add("ReduceMean", values, axes=[3], keepdims=0)  # [T, N, C]
    along_channels = _convolve_along(
        scope, "temporal.weight", module.temporal, scope.add("Transpose", mean, perm=[1, 0, 2])
    )
    along_time = _convolve_along(scope, "channel.weight", module.channel, scope.add("Transpose", mean, perm=[1, 2, 0]))
    product = scope.add("Mul", along_channels, scope.add("Transpose", along_time, perm=[0, 2, 1]))
    factors = scope.add("Transpose", scope.add("Sigmoid", product), perm=[1, 0, 2])
    return _scaled(scope, values, scope.add("Reshape", factors, scope.sizes(-1, channels, 1)))


def _convolve_along(scope: NodeScope, name: str, conv: nn.Conv1d, x: str) -> str:
    """Append a 1-D convolution with padding that preserves the length."""
    (taps,) = conv.kernel_size
    pads = [(taps - 1) // 2, taps - 1 - (taps - 1) // 2]
    return scope.add("Conv", x, _numbers(scope, name, conv.weight), kernel_shape=[taps], pads=pads)


def _spikes(scope: NodeScope, u: str) -> str:
    """Append the node's spikes: 1 where u >= 0, else 0."""
    fired = scope.add("GreaterOrEqual", u, scope.constant("zero", 0.0))
    return scope.add_output(
        "Reshape", scope.add("Cast", fired, to=scope.graph.type), scope.graph.sizes(-1, *scope.shape)
    )


def _by_matrix(scope: NodeScope, weights: tuple[str, Tensor], bias: Tensor, x: str) -> str:
    """Append parallel neurons with H = W X + b over time. ``weights`` are the name and the matrix W."""
    h = scope.add("MatMul", _numbers(scope, *weights), scope.add("Reshape", x, scope.sizes(-1)))
    return _spikes(scope, scope.add("Add", h, _numbers(scope, "bias", bias)))


def _sliding(scope: NodeScope, module: parallel_neuron.SlidingNeuron, x: str) -> str:
    """Append sliding parallel neurons as one convolution along time, with all neurons side by side."""
    rows = scope.add("Reshape", x, scope.sizes(-1))
    image = scope.add("Unsqueeze", rows, scope.graph.sizes(0, 1))  # [1, 1, T, N·…]
    weight = _numbers(scope, "weight", module.weight.reshape(1, 1, -1, 1))
    bias = _numbers(scope, "bias", module.bias.reshape(1))
    pads = [module.order - 1, 0, 0, 0]
    return _spikes(scope, scope.add("Conv", image, weight, bias, kernel_shape=[module.order, 1], pads=pads))


def _norm(scope: NodeScope, module: batch_norm.StepScaledBatchNorm, x: str) -> str:
    """Append a batch norm with a weight per time-step."""
    sequence = scope.add("Reshape", normalise(scope, module, x), scope.sizes(-1, *scope.shape))
    weight = tensor_to_array(module.step_weight)
    return _scaled(
        scope, sequence, scope.constant("step_weight", np.reshape(weight, (-1, *[1] * (len(scope.shape) + 1))))
    )


def _step_norm(scope: NodeScope, module: batch_norm.StepBatchNorm, x: str) -> str:
    """Append a factor and an addend per time-step and channel."""
    # float64, so that the numbers are rounded once.
    norm = deepcopy(module).double()
    factor, shift = norm.factors(slice(None), norm.running_var)
    shift = (0 if shift is None else shift) - norm.running_mean * factor
    shape = -1, 1, scope.shape[0], *[1] * (len(scope.shape) - 1)
    sequence = scope.add("Reshape", x, scope.sizes(-1, *scope.shape))
    scaled = scope.add("Mul", sequence, _numbers(scope, "scale", factor.reshape(shape)))
    shifted = scope.add("Add", scaled, _numbers(scope, "shift", shift.reshape(shape)))
    return scope.add_output("Reshape", shifted, scope.graph.sizes(-1, *scope.shape))


def _over_time(scope: NodeScope, module: merges.TimeReduction | layers.TimeSlice, x: str) -> str:
    """Append a sum or mean over time, or one time-step, with the sizes ``[N, *]``."""
    sequence = scope.add("Reshape", x, scope.sizes(-1, *scope.shape))
    if isinstance(module, layers.TimeSlice):
        row = scope.add("Gather", sequence, scope.graph.sizes(module.index), axis=0)
        return scope.add_output("Squeeze", row, scope.graph.sizes(0))
    if module.operation == "mean":
        return scope.add_output("ReduceMean", sequence, axes=[0], keepdims=0)
    return scope.add_output("ReduceSum", sequence, scope.graph.sizes(0), keepdims=0)


def _step_position(scope: NodeScope, module: tokens.StepPosition, x: str) -> str:
    """Append the addition of a number per time-step and channel."""
    sequence = scope.add("Reshape", x, scope.sizes(-1, *scope.shape))
    steps, channels = module.weight.shape
    weight = tensor_to_array(module.weight).reshape(steps, 1, channels, *[1] * (len(scope.shape) - 1))
    total = scope.add("Add", sequence, scope.constant("weight", weight))
    return scope.add_output("Reshape", total, scope.graph.sizes(-1, *scope.shape))


def _time_filter(scope: NodeScope, module: time_filters.TimeFilter, x: str) -> str:
    """Append a filter along time as one convolution per channel, with all samples and positions side by side."""
    channels, *positions = scope.shape
    image = scope.add("Reshape", x, scope.sizes(-1, channels, prod(positions)))  # [T, N, C, L]
    rows = scope.add("Transpose", image, perm=[1, 2, 0, 3])
    kernel = tensor_to_array(module.weight.flip(1)).reshape(channels, 1, module.taps, 1)
    window = {
        "kernel_shape": [module.taps, 1],
        "dilations": [module.dilation, 1],
        "pads": [(module.taps - 1) * module.dilation, 0, 0, 0],
        "group": channels,
    }
    y = scope.add("Conv", rows, scope.constant("weight", kernel), **window)
    back = scope.add("Transpose", y, perm=[2, 0, 1, 3])
    return scope.add_output("Reshape", back, scope.graph.sizes(-1, *scope.shape))


def _delayed_linear(scope: NodeScope, module: time_filters.DelayedLinear, x: str) -> str:
    """Append a full connection with rounded delays as a convolution along time."""
    features = scope.add("Reshape", x, scope.sizes(-1, module.weight.shape[1]))  # [T, N, F]
    numbers = [scope.constant("kernel", tensor_to_array(module.kernel().flip(-1)))]
    if module.bias is not None:
        numbers.append(scope.constant("bias", tensor_to_array(module.bias)))
    window = {"kernel_shape": [module.reach], "pads": [module.reach - 1, 0]}
    y = scope.add("Conv", scope.add("Transpose", features, perm=[1, 2, 0]), *numbers, **window)
    return scope.add_output(
        "Reshape", scope.add("Transpose", y, perm=[2, 0, 1]), scope.graph.sizes(-1, len(module.weight))
    )


def _delay(scope: NodeScope, module: streamed_past.Delay, x: str) -> str:
    """Append a delay: zeros, then all time-steps except the last ones."""
    sequence = scope.add("Reshape", x, scope.sizes(-1, *scope.shape))
    axes = len(scope.shape) + 2
    later = scope.add("Pad", sequence, scope.graph.sizes(module.steps, *[0] * (2 * axes - 1)))
    first, end, axis = scope.graph.sizes(0), scope.graph.sizes(-module.steps), scope.graph.sizes(0)
    return scope.add_output("Reshape", scope.add("Slice", later, first, end, axis), scope.graph.sizes(-1, *scope.shape))


TRANSLATIONS: dict[type[nn.Module], Translate] = {
    sequence_attention.TemporalAttention: _temporal,
    sequence_attention.ChannelAttention: _channel,
    sequence_attention.SpatialAttention: _spatial,
    sequence_attention.TemporalChannelAttention: _joint,
    parallel_neuron.ParallelNeuron: lambda scope, module, x: _by_matrix(
        scope, ("weight", module.weight), module.bias, x
    ),
    parallel_neuron.MaskedNeuron: lambda scope, module, x: _by_matrix(
        scope, ("masked_weight", torch.triu(torch.tril(module.weight), 1 - module.order)), module.bias, x
    ),
    parallel_neuron.SlidingNeuron: _sliding,
    batch_norm.StepScaledBatchNorm: _norm,
    batch_norm.StepBatchNorm: _step_norm,
    merges.TimeReduction: _over_time,
    layers.TimeSlice: _over_time,
    tokens.StepPosition: _step_position,
    streamed_past.Delay: _delay,
    time_filters.TimeFilter: _time_filter,
    time_filters.DelayedLinear: _delayed_linear,
}
"""Translations by module class. Each reads a sequence ``[T·N, *]``."""
