"""Layers and merges as ONNX operations on ``[T·N, *]``: all time-steps as one batch."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from math import prod, sqrt
from typing import TYPE_CHECKING, Any

from torch import nn

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.onnx.graph_builder import NodeScope
from sewdsl.exchange.write.onnx.neuron_steps import EquationSteps, write_join
from sewdsl.snn import batch_norm, layers, merges, pooling
from sewdsl.snn.equations import Equations, SpikingEquations
from sewdsl.snn.join import Join

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    Array = np.ndarray[Any, Any]

Weighted = layers.Conv2d | layers.Conv1d | layers.ConvTranspose2d | layers.ConvTranspose1d | layers.Linear
Translate = Callable[..., str]
"""Puts a layer into a graph: its place, its module and the names of its inputs; the name of what it gives."""


def translate_layer(place: NodeScope, module: nn.Module, *operands: str) -> str:
    """Put a layer, a join or another merge into a graph; return the name of its output.

    Raises:
        UnsupportedLayer: it is of a class that is not known here, computes more than plain arithmetic, or has an
            argument that ONNX means otherwise.
    """
    known = TRANSLATIONS.get(type(module))  # not a class derived from one: who knows what that does
    if known is None:
        raise UnsupportedLayer(place.node, f"is a {type(module).__name__}, for which there is no translation into ONNX")
    return known(place, module, *operands)


def translate_with_norm(place: NodeScope, layer: Weighted, after: batch_norm.BatchNorm, x: str) -> str:
    """Append a layer with the batch norm after it in its weights; products are rounded once, from float64."""
    scale, shift = deepcopy(after).double().scale_and_shift
    weight = layer.weight * scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
    bias = shift if layer.bias is None else layer.bias * scale + shift
    return _weighted(place, layer, weight, bias, x)


def tensor_to_array(tensor: Tensor) -> Array:
    """Return the numbers of a tensor."""
    numbers: Array = tensor.detach().cpu().numpy()
    return numbers


def _alone(place: NodeScope, layer: Weighted, x: str) -> str:
    """Append a layer with its own weights."""
    return _weighted(place, layer, layer.weight, layer.bias, x)


def _weighted(place: NodeScope, layer: Weighted, weight: Tensor, bias: Tensor | None, x: str) -> str:
    """Append a layer with the given weights."""
    numbers = [place.numbers("weight", tensor_to_array(weight))]
    if bias is not None:
        numbers.append(place.numbers("bias", tensor_to_array(bias)))
    if isinstance(layer, layers.Linear):
        vector = place.add("Flatten", x, axis=1) if len(place.shape) > 1 else x
        return place.last("Gemm", vector, *numbers, transB=1)
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        raise UnsupportedLayer(place.node, "pads in another way than with zeros, as many on each side")
    window = {
        "kernel_shape": list(layer.kernel_size),
        "strides": list(layer.stride),
        "pads": list(layer.padding) * 2,
        "dilations": list(layer.dilation),
    }
    if isinstance(layer, layers.ConvTranspose2d | layers.ConvTranspose1d):
        window["output_padding"] = list(layer.output_padding)
        return place.last("ConvTranspose", x, *numbers, **window, group=layer.groups)
    return place.last("Conv", x, *numbers, **window, group=layer.groups)


def normalise(place: NodeScope, layer: batch_norm.BatchNorm, x: str) -> str:
    """Append a batch norm on the way to a node's value, as a factor and an addend of each channel."""
    return place.add("Add", *_factor_and_addend(place, layer, x))


def _factor_and_addend(place: NodeScope, layer: batch_norm.BatchNorm, x: str) -> tuple[str, str]:
    """Append the scaled input; return its name and that of the addend."""
    scale, shift = (
        each.reshape(-1, *[1] * (len(place.shape) - 1)) for each in deepcopy(layer).double().scale_and_shift
    )
    scaled = place.add("Mul", x, place.numbers("scale", tensor_to_array(scale)))
    return scaled, place.numbers("shift", tensor_to_array(shift))


def _max_pool(place: NodeScope, layer: pooling.MaxPool2d, x: str) -> str:
    if layer.return_indices or layer.ceil_mode or layer.dilation != 1:
        raise UnsupportedLayer(place.node, "has arguments of max pooling that are not translated")
    return place.last("MaxPool", x, **_window(layer))


def _avg_pool(place: NodeScope, layer: pooling.AvgPool2d, x: str) -> str:
    if layer.ceil_mode or layer.divisor_override is not None:
        raise UnsupportedLayer(place.node, "has arguments of average pooling that are not translated")
    return place.last("AveragePool", x, **_window(layer), count_include_pad=int(layer.count_include_pad))


def _window(layer: pooling.MaxPool2d | pooling.AvgPool2d) -> dict[str, list[int]]:
    kernel, stride, padding = (
        [size, size] if isinstance(size, int) else list(size)
        for size in (layer.kernel_size, layer.stride, layer.padding)
    )
    if isinstance(layer, pooling.MaxPool1d | pooling.AvgPool1d):  # of maps of one row
        kernel, stride, padding = kernel[1:], stride[1:], padding[1:]
    return {"kernel_shape": kernel, "strides": stride, "pads": padding * 2}


def _nothing(_: NodeScope, __: nn.Module, x: str) -> str:
    """Return the input of a layer that does nothing in evaluation."""
    return x


def _upsample(place: NodeScope, layer: layers.Upsample, x: str) -> str:
    """By its factor: of nearest neighbours, each value for itself; else with the corners of the maps on each other."""
    factors = place.graph.factors(1, 1, *[layer.factor] * (len(place.shape) - 1))
    how = (
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        if layer.mode == "nearest"
        else {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    )
    return place.last("Resize", x, "", factors, **how)


def _group_norm(place: NodeScope, layer: layers.GroupNorm, x: str) -> str:
    """Over each group of channels, as one axis."""
    channels, *size = place.shape
    grouped = place.add("Reshape", x, place.graph.sizes(0, layer.num_groups, channels // layer.num_groups * prod(size)))
    return _centred(place, layer, grouped, [2], place.graph.sizes(0, *place.shape))


def _weight_of_channels(place: NodeScope, name: str, weight: Tensor) -> str:
    """Name numbers of each channel, or one for all, in the shape that fits a map."""
    return place.numbers(name, tensor_to_array(weight).reshape(-1, *[1] * (len(place.shape) - 1)))


def _centred(
    place: NodeScope, layer: layers.LayerNorm | layers.GroupNorm, x: str, axes: list[int], shape: str = ""
) -> str:
    """Append the input less its mean, divided by its deviation, with the weight and the bias of each channel."""
    centred = place.add("Sub", x, place.add("ReduceMean", x, axes=axes))
    variance = place.add("ReduceMean", place.add("Mul", centred, centred), axes=axes)
    deviation = place.add("Sqrt", place.add("Add", variance, place.numbers("eps", layer.eps)))
    normed = place.add("Div", centred, deviation)
    if shape:
        normed = place.add("Reshape", normed, shape)
    weighted = place.add("Mul", normed, _weight_of_channels(place, "weight", layer.weight))
    return place.last("Add", weighted, _weight_of_channels(place, "bias", layer.bias))


def _gelu(place: NodeScope, _: nn.GELU, x: str) -> str:
    """x (1 + erf(x / sqrt(2))) / 2.

    ONNX has an operation of its own from version 20 on, which the version that is written here lacks.
    """
    error = place.add("Erf", place.add("Mul", x, place.numbers("root_half", sqrt(0.5))))
    twice = place.add("Mul", x, place.add("Add", error, place.numbers("one", 1.0)))
    return place.last("Mul", twice, place.numbers("half", 0.5))


def _channel_sum(place: NodeScope, layer: merges.Sum, x: str) -> str:
    """Append a sum or a mean."""
    mean = isinstance(layer, merges.Mean)
    if layer.groups is None:
        if mean:
            return place.last("ReduceMean", x, axes=[*range(2, len(place.shape) + 1)])
        return place.last("ReduceSum", x, place.graph.sizes(*range(2, len(place.shape) + 1)))
    groups = place.graph.sizes(0, layer.groups, -1, *place.shape[1:])
    grouped = place.add("Reshape", x, groups)
    if mean:
        return place.last("ReduceMean", grouped, axes=[2], keepdims=0)
    return place.last("ReduceSum", grouped, place.graph.sizes(2), keepdims=0)


def _joined(place: NodeScope, module: Join | merges.JoinOfMany, first: str, *others: str) -> str:
    """Append a join, two operands at a time."""
    for number, other in enumerate(others, start=1):
        first = write_join(place, module.spec, first, other, last=number == len(others))
    return first


def _product(place: NodeScope, _: merges.Product, value: str, *others: str) -> str:
    """Append a product, in groups where a gate has fewer channels."""
    shape = place.shape
    for other, other_shape in zip(others, place.shapes[1:], strict=True):
        few, many = sorted((shape[0], other_shape[0]))
        whole = max(shape, other_shape, key=prod)
        if few in {1, many}:
            value = place.add("Mul", value, other)
        else:
            grouped = [
                place.add("Reshape", x, place.graph.sizes(0, few, size[0] // few, *size[1:]))
                for x, size in ((value, shape), (other, other_shape))
            ]
            value = place.add("Reshape", place.add("Mul", *grouped), place.graph.sizes(0, *whole))
        shape = whole
    return place.last("Identity", value)


def _attention(place: NodeScope, module: merges.Attention, *operands: str) -> str:
    """Append an attention, of each head ``[channels, places]``."""
    q, k, v = (
        place.add("Reshape", x, place.graph.sizes(0, module.heads, shape[0] // module.heads, prod(shape[1:])))
        for x, shape in zip(operands, place.shapes, strict=True)
    )
    turned = place.add("Transpose", k, perm=[0, 1, 3, 2])
    if module.keys_first:
        y = place.add("MatMul", place.add("MatMul", v, turned), q)
    else:
        y = place.add("MatMul", v, place.add("MatMul", turned, q))
    scaled = place.add("Mul", y, place.numbers("scale", module.scale))
    return place.last("Reshape", scaled, place.graph.sizes(0, place.shapes[2][0], *place.shape[1:]))


def _stateless(place: NodeScope, module: Equations, x: str) -> str:
    """Neurons as equations that keep no state."""
    return place.last("Identity", EquationSteps.of(module, place.shape).write(place, x, [], {})[0])


TRANSLATIONS: dict[type[nn.Module], Translate] = {
    layers.Conv2d: _alone,
    layers.Linear: _alone,
    layers.Flatten: lambda place, _, x: place.last("Flatten", x, axis=1),
    layers.Conv1d: _alone,
    layers.ConvTranspose2d: _alone,
    layers.ConvTranspose1d: _alone,
    layers.Upsample: _upsample,
    layers.LayerNorm: lambda place, layer, x: _centred(place, layer, x, [1]),
    layers.GroupNorm: _group_norm,
    layers.Scale: lambda place, layer, x: place.last(
        "Mul", x, place.numbers("factor", layer.value if layer.weight is None else tensor_to_array(layer.weight))
    ),
    layers.Dropout: _nothing,
    layers.DropPath: _nothing,
    nn.Identity: _nothing,
    nn.ReLU: lambda place, _, x: place.last("Relu", x),
    nn.GELU: _gelu,
    nn.SiLU: lambda place, _, x: place.last("Mul", x, place.add("Sigmoid", x)),
    nn.Sigmoid: lambda place, _, x: place.last("Sigmoid", x),
    nn.Tanh: lambda place, _, x: place.last("Tanh", x),
    layers.PReLU: lambda place, layer, x: place.last("PRelu", x, _weight_of_channels(place, "weight", layer.weight)),
    batch_norm.BatchNorm: lambda place, layer, x: place.last("Add", *_factor_and_addend(place, layer, x)),
    pooling.MaxPool2d: _max_pool,
    pooling.AvgPool2d: _avg_pool,
    pooling.MaxPool1d: _max_pool,
    pooling.AvgPool1d: _avg_pool,
    pooling.GlobalAvgPool: lambda place, _, x: place.last(
        "ReduceMean", x, axes=[*range(2, len(place.shape) + 1)], keepdims=0
    ),
    pooling.VotingPool: lambda place, layer, x: place.last(
        "ReduceMean",
        place.add("Reshape", x, place.graph.sizes(-1, place.shape[0] // layer.kernel, layer.kernel)),
        axes=[2],
        keepdims=0,
    ),
    merges.Sum: _channel_sum,
    merges.Mean: _channel_sum,
    merges.JoinOfMany: _joined,
    merges.Concatenation: lambda place, _, *operands: place.last("Concat", *operands, axis=1),
    merges.Maximum: lambda place, _, *operands: place.last("Max", *operands),
    merges.Product: _product,
    merges.Attention: _attention,
    Join: _joined,
    Equations: _stateless,
    SpikingEquations: _stateless,
}
"""By the module's class. A layer of one's own that builds one of these needs nothing; another one puts its own here."""
