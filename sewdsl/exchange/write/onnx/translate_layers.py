"""Translation of layers and merges to ONNX operations on ``[T·N, *]``: all time-steps form one batch."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from math import prod, sqrt
from typing import TYPE_CHECKING, Any

import torch
from onnx import TensorProto
from torch import nn

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.onnx.graph_builder import NodeScope
from sewdsl.exchange.write.onnx.neuron_steps import EquationSteps, write_join
from sewdsl.exchange.write.onnx.translate_attention import write_apply, write_attention, write_scores, write_softmax
from sewdsl.snn import attention, batch_norm, layers, merges, pooling, tokens
from sewdsl.snn.equations import Equations, SpikingEquations
from sewdsl.snn.join import Join

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    Array = np.ndarray[Any, Any]

Weighted = layers.Conv2d | layers.Conv1d | layers.ConvTranspose2d | layers.ConvTranspose1d | layers.Linear
Translate = Callable[..., str]
"""Appends a layer, given its scope, its module and the names of its inputs. Returns the name of the output."""


def translate_layer(scope: NodeScope, module: nn.Module, *operands: str) -> str:
    """Append a layer or a merge, and return the name of its output.

    Raises:
        UnsupportedLayer: If the class is unknown, computes more than plain arithmetic, or has an argument without an
            equivalent in ONNX.
    """
    translate = TRANSLATIONS.get(type(module))  # Exact class: a subclass may compute something else.
    if translate is None:
        raise UnsupportedLayer(scope.node, "has no translation to ONNX")
    return translate(scope, module, *operands)


def translate_with_norm(scope: NodeScope, layer: Weighted, after: batch_norm.BatchNorm, x: str) -> str:
    """Append a layer with its batch norm folded into the weights."""
    # float64, so that the weights are rounded once, at the end.
    scale, shift = deepcopy(after).double().scale_and_shift
    weight = layers.effective_weight(layer) * scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
    bias = shift if layer.bias is None else layer.bias * scale + shift
    return _weighted(scope, layer, weight, bias, x)


def tensor_to_array(tensor: Tensor) -> Array:
    """Return a tensor as an array."""
    array: Array = tensor.detach().cpu().numpy()
    return array


def _with_own_weights(scope: NodeScope, layer: Weighted, x: str) -> str:
    return _weighted(scope, layer, layers.effective_weight(layer), layer.bias, x)


def _weighted(scope: NodeScope, layer: Weighted, weight: Tensor, bias: Tensor | None, x: str) -> str:
    constants = [scope.constant("weight", tensor_to_array(weight))]
    if bias is not None:
        constants.append(scope.constant("bias", tensor_to_array(bias)))
    if isinstance(layer, layers.Linear):
        vector = scope.add("Flatten", x, axis=1) if len(scope.shape) > 1 else x
        return scope.add_output("Gemm", vector, *constants, transB=1)
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        raise UnsupportedLayer(scope.node, "has unsupported padding; expected zeros, equally many on both sides")
    window = {
        "kernel_shape": list(layer.kernel_size),
        "strides": list(layer.stride),
        # ONNX lists the padding at all starts, then at all ends.
        "pads": list(layer.padding) * 2,
        "dilations": list(layer.dilation),
    }
    if isinstance(layer, layers.ConvTranspose2d | layers.ConvTranspose1d):
        window["output_padding"] = list(layer.output_padding)
        return scope.add_output("ConvTranspose", x, *constants, **window, group=layer.groups)
    return scope.add_output("Conv", x, *constants, **window, group=layer.groups)


def normalise(scope: NodeScope, layer: batch_norm.BatchNorm, x: str) -> str:
    """Append a batch norm as an intermediate value: a factor and an addend per channel."""
    return scope.add("Add", *_factor_and_addend(scope, layer, x))


def _factor_and_addend(scope: NodeScope, layer: batch_norm.BatchNorm, x: str) -> tuple[str, str]:
    """Append the scaled input of a batch norm, and return its name and that of the addend."""
    scale, shift = (
        each.reshape(-1, *[1] * (len(scope.shape) - 1)) for each in deepcopy(layer).double().scale_and_shift
    )
    scaled = scope.add("Mul", x, scope.constant("scale", tensor_to_array(scale)))
    return scaled, scope.constant("shift", tensor_to_array(shift))


def _max_pool(scope: NodeScope, layer: pooling.MaxPool2d, x: str) -> str:
    if layer.return_indices or layer.ceil_mode or layer.dilation != 1:
        raise UnsupportedLayer(scope.node, "uses return_indices, ceil_mode or dilation, which are not translated")
    return scope.add_output("MaxPool", x, **_window(layer))


def _avg_pool(scope: NodeScope, layer: pooling.AvgPool2d, x: str) -> str:
    if layer.ceil_mode or layer.divisor_override is not None:
        raise UnsupportedLayer(scope.node, "uses ceil_mode or divisor_override, which are not translated")
    return scope.add_output("AveragePool", x, **_window(layer), count_include_pad=int(layer.count_include_pad))


def _window(layer: pooling.MaxPool2d | pooling.AvgPool2d) -> dict[str, list[int]]:
    kernel, stride, padding = (
        [size, size] if isinstance(size, int) else list(size)
        for size in (layer.kernel_size, layer.stride, layer.padding)
    )
    if isinstance(layer, pooling.MaxPool1d | pooling.AvgPool1d):  # The runtime pools rows as maps of height 1.
        kernel, stride, padding = kernel[1:], stride[1:], padding[1:]
    return {"kernel_shape": kernel, "strides": stride, "pads": padding * 2}


def _rows(scope: NodeScope, layer: tokens.Embedding, x: str) -> str:
    """Append the rows of a table, with the tokens as last axis."""
    numbers = scope.add("Cast", x, to=TensorProto.INT64)
    table = scope.constant("weight", tensor_to_array(layer.weight))
    if scope.shape == (1,):
        return scope.add_output("Gather", table, scope.add("Reshape", numbers, scope.graph.sizes(-1)))
    return scope.add_output("Transpose", scope.add("Gather", table, numbers), perm=[0, 2, 1])


def _exchange(scope: NodeScope, layer: tokens.Exchange, x: str) -> str:
    channels, *places = scope.shape
    flat = scope.add("Reshape", x, scope.graph.sizes(-1, channels, prod(places)))
    return scope.add_output(
        "Reshape", scope.add("Transpose", flat, perm=[0, 2, 1]), scope.graph.sizes(-1, *layer.shape)
    )


def _slice(scope: NodeScope, layer: layers.Slicing, x: str) -> str:
    sizes, axis = scope.graph.sizes, 1
    if layer.over == "places":
        channels, *places = scope.shape
        x, axis = scope.add("Reshape", x, sizes(-1, channels, prod(places))), 2
    return scope.add_output("Slice", x, sizes(layer.start), sizes(layer.stop), sizes(axis))


def _fourier(scope: NodeScope, layer: layers.FourierTransform, x: str) -> str:
    """Append a Fourier transform as products with a matrix for each axis."""
    channels, *rows, width = scope.shape
    like = torch.ones((), dtype=torch.float64)
    length = 2 * (width - 1) if layer.inverse else width
    columns = layer.matrix(length, like)[0, :, :, : length // 2 + 1]
    sizes = scope.graph.sizes
    x = scope.add("Reshape", x, sizes(-1, *([channels // 2, 2] if layer.inverse else [channels]), prod(rows), width))
    both = [scope.constant("rows", tensor_to_array(layer.matrix(rows[0], like)))] if rows else []
    if layer.inverse:
        columns[..., 1:-1] *= 2
        x = scope.add("Einsum", x, *both, equation="ncqkv,pjqk->ncpjv") if rows else x
        x = scope.add("Einsum", x, scope.constant("columns", tensor_to_array(columns)), equation="ncqjv,wqv->ncjw")
        return scope.add_output("Reshape", x, sizes(-1, channels // 2, *rows, length))
    x = scope.add("Einsum", x, scope.constant("columns", tensor_to_array(columns)), equation="ncjw,wqv->ncqjv")
    x = scope.add("Einsum", x, *both, equation="ncpjv,pjqk->ncqkv") if rows else x
    return scope.add_output("Reshape", x, sizes(-1, 2 * channels, *rows, length // 2 + 1))


def _identity(_: NodeScope, __: nn.Module, x: str) -> str:
    """Return the input of a layer that is an identity in evaluation mode."""
    return x


def _upsample(scope: NodeScope, layer: layers.Upsample, x: str) -> str:
    """Append upsampling: nearest neighbours, or linear interpolation without aligned corners."""
    lengths = layer.factor if isinstance(layer.factor, tuple) else [layer.factor] * (len(scope.shape) - 1)
    factors = scope.graph.factors(1, 1, *lengths)
    options = (
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        if layer.mode == "nearest"
        else {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    )
    return scope.add_output("Resize", x, "", factors, **options)


def _group_norm(scope: NodeScope, layer: layers.GroupNorm, x: str) -> str:
    """Append a group norm, with each group of channels as one axis."""
    channels, *size = scope.shape
    grouped = scope.add("Reshape", x, scope.graph.sizes(0, layer.num_groups, channels // layer.num_groups * prod(size)))
    return _centred(scope, layer, grouped, [2], scope.graph.sizes(0, *scope.shape))


def _weight_of_channels(scope: NodeScope, name: str, weight: Tensor) -> str:
    """Add a constant per channel, or one for all, broadcastable to a feature map."""
    return scope.constant(name, tensor_to_array(weight).reshape(-1, *[1] * (len(scope.shape) - 1)))


def _centred(
    scope: NodeScope, layer: layers.LayerNorm | layers.GroupNorm, x: str, axes: list[int], shape: str = ""
) -> str:
    """Append (x - mean) / deviation · weight + bias. ``shape`` restores the shape before weight and bias."""
    centred = scope.add("Sub", x, scope.add("ReduceMean", x, axes=axes))
    variance = scope.add("ReduceMean", scope.add("Mul", centred, centred), axes=axes)
    deviation = scope.add("Sqrt", scope.add("Add", variance, scope.constant("eps", layer.eps)))
    normed = scope.add("Div", centred, deviation)
    if shape:
        normed = scope.add("Reshape", normed, shape)
    weighted = scope.add("Mul", normed, _weight_of_channels(scope, "weight", layer.weight))
    return scope.add_output("Add", weighted, _weight_of_channels(scope, "bias", layer.bias))


def _root_mean_square(scope: NodeScope, layer: layers.RMSNorm, x: str) -> str:
    """Append x / root of the mean square · weight."""
    squares = scope.add("ReduceMean", scope.add("Mul", x, x), axes=[1])
    root = scope.add("Sqrt", scope.add("Add", squares, scope.constant("eps", layer.eps)))
    return scope.add_output("Mul", scope.add("Div", x, root), _weight_of_channels(scope, "weight", layer.weight))


def _gelu(scope: NodeScope, _: nn.GELU, x: str) -> str:
    """Append x (1 + erf(x / sqrt(2))) / 2."""
    # The operator Gelu needs opset 20.
    error = scope.add("Erf", scope.add("Mul", x, scope.constant("root_half", sqrt(0.5))))
    twice = scope.add("Mul", x, scope.add("Add", error, scope.constant("one", 1.0)))
    return scope.add_output("Mul", twice, scope.constant("half", 0.5))


def _reduced(scope: NodeScope, layer: merges.Reduction, x: str) -> str:
    """Append a sum, mean or maximum over positions, or over the channels of each group."""
    axes, keep = [*range(2, len(scope.shape) + 1)], {}
    if layer.groups is not None:
        x = scope.add("Reshape", x, scope.graph.sizes(0, layer.groups, -1, *scope.shape[1:]))
        axes, keep = [2], {"keepdims": 0}
    # In opset 17, ReduceSum has its axes as an input, and the other reductions as an attribute.
    if layer.operation == "sum":
        return scope.add_output("ReduceSum", x, scope.graph.sizes(*axes), **keep)
    operator = "ReduceMean" if layer.operation == "mean" else "ReduceMax"
    return scope.add_output(operator, x, axes=axes, **keep)


def _join(scope: NodeScope, module: Join | merges.JoinOfMany, first: str, *others: str) -> str:
    """Append a join, two operands at a time."""
    for index, other in enumerate(others, start=1):
        first = write_join(scope, module.spec, first, other, last=index == len(others))
    return first


def _product(scope: NodeScope, _: merges.Product, value: str, *others: str) -> str:
    """Append a product, in groups if a gate has fewer channels."""
    shape = scope.shape
    for other, other_shape in zip(others, scope.shapes[1:], strict=True):
        fewer, more = sorted((shape[0], other_shape[0]))
        out_shape = max(shape, other_shape, key=prod)
        # A single channel broadcasts, as do equal channels.
        if fewer in {1, more}:
            value = scope.add("Mul", value, other)
        else:
            grouped = [
                scope.add("Reshape", x, scope.graph.sizes(0, fewer, size[0] // fewer, *size[1:]))
                for x, size in ((value, shape), (other, other_shape))
            ]
            value = scope.add("Reshape", scope.add("Mul", *grouped), scope.graph.sizes(0, *out_shape))
        shape = out_shape
    return scope.add_output("Identity", value)


def _stateless(scope: NodeScope, module: Equations, *inputs: str) -> str:
    """Append neurons with equations and no state."""
    return scope.add_output("Identity", EquationSteps.of(module, scope.shape).write(scope, inputs, [], {})[0])


TRANSLATIONS: dict[type[nn.Module], Translate] = {
    layers.Conv2d: _with_own_weights,
    layers.Linear: _with_own_weights,
    layers.Flatten: lambda scope, _, x: scope.add_output("Flatten", x, axis=1),
    layers.Reshaping: lambda scope, layer, x: scope.add_output("Reshape", x, scope.graph.sizes(-1, *layer.shape)),
    tokens.Embedding: _rows,
    tokens.Tokens: lambda scope, layer, x: scope.add_output(
        "Expand",
        scope.constant("weight", tensor_to_array(layer.weight)),
        scope.add("Concat", scope.add("Shape", x, start=0, end=1), scope.graph.sizes(*layer.weight.shape), axis=0),
    ),
    tokens.Exchange: _exchange,
    tokens.Position: lambda scope, layer, x: scope.add_output(
        "Add", x, scope.constant("weight", tensor_to_array(layer.weight))
    ),
    layers.Conv1d: _with_own_weights,
    layers.ConvTranspose2d: _with_own_weights,
    layers.ConvTranspose1d: _with_own_weights,
    layers.Upsample: _upsample,
    layers.Slicing: _slice,
    layers.Padding: lambda scope, layer, x: scope.add_output(
        "Pad",
        x,
        scope.graph.sizes(*(0, 0, *layer.pads) * 2),
        mode="constant" if layer.mode == "zeros" else layer.mode,
    ),
    layers.FourierTransform: _fourier,
    layers.LayerNorm: lambda scope, layer, x: _centred(scope, layer, x, [1]),
    layers.GroupNorm: _group_norm,
    layers.RMSNorm: _root_mean_square,
    layers.Scale: lambda scope, layer, x: scope.add_output(
        "Mul", x, scope.constant("factor", layer.value if layer.weight is None else tensor_to_array(layer.weight))
    ),
    layers.ChannelScale: lambda scope, layer, x: scope.add_output(
        "Mul", x, _weight_of_channels(scope, "factor", layer.weight)
    ),
    layers.Dropout: _identity,
    layers.StepDropout: _identity,
    layers.DropPath: _identity,
    nn.Identity: _identity,
    nn.ReLU: lambda scope, _, x: scope.add_output("Relu", x),
    nn.GELU: _gelu,
    nn.SiLU: lambda scope, _, x: scope.add_output("Mul", x, scope.add("Sigmoid", x)),
    nn.Sigmoid: lambda scope, _, x: scope.add_output("Sigmoid", x),
    nn.Tanh: lambda scope, _, x: scope.add_output("Tanh", x),
    layers.PReLU: lambda scope, layer, x: scope.add_output(
        "PRelu", x, _weight_of_channels(scope, "weight", layer.weight)
    ),
    batch_norm.BatchNorm: lambda scope, layer, x: scope.add_output("Add", *_factor_and_addend(scope, layer, x)),
    pooling.MaxPool2d: _max_pool,
    pooling.AvgPool2d: _avg_pool,
    pooling.MaxPool1d: _max_pool,
    pooling.AvgPool1d: _avg_pool,
    pooling.GlobalAvgPool: lambda scope, _, x: scope.add_output(
        "ReduceMean", x, axes=[*range(2, len(scope.shape) + 1)], keepdims=0
    ),
    pooling.VotingPool: lambda scope, layer, x: scope.add_output(
        "ReduceMean",
        scope.add("Reshape", x, scope.graph.sizes(-1, scope.shape[0] // layer.kernel, layer.kernel)),
        axes=[2],
        keepdims=0,
    ),
    merges.Reduction: _reduced,
    merges.JoinOfMany: _join,
    merges.Concatenation: lambda scope, _, *operands: scope.add_output("Concat", *operands, axis=1),
    merges.Maximum: lambda scope, _, *operands: scope.add_output("Max", *operands),
    merges.Product: _product,
    attention.Attention: write_attention,
    attention.Scores: write_scores,
    attention.Apply: write_apply,
    attention.Softmax: write_softmax,
    Join: _join,
    Equations: _stateless,
    SpikingEquations: _stateless,
}
"""Translations by module class. Custom layers with other modules add an entry."""
