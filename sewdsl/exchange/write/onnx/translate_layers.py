"""Layers and joins as ONNX operations on ``[T·N, *]``: all time-steps as one batch."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from torch import nn

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.onnx.graph_builder import NodeScope
from sewdsl.snn import batch_norm, layers, pooling
from sewdsl.snn.join import Join
from sewdsl.snn.kernels import tapes

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    Array = np.ndarray[Any, Any]

Translate = Callable[[NodeScope, Any, str], str]
"""Puts a layer into a graph: its place, its module and the name of its input; the name of what it gives."""


def translate_layer(place: NodeScope, module: nn.Module, x: str) -> str:
    """Puts a layer into a graph; the name of what it gives.

    Raises:
        UnsupportedLayer: it is of a class that is not known here, or has an argument that ONNX means otherwise.
    """
    known = TRANSLATIONS.get(type(module))  # not a class derived from one: who knows what that does
    if known is None:
        raise UnsupportedLayer(place.node, f"is a {type(module).__name__}, for which there is no translation into ONNX")
    return known(place, module, x)


def translate_with_norm(
    place: NodeScope, layer: layers.Conv2d | layers.Linear, after: batch_norm.BatchNorm, x: str
) -> str:
    """A layer with the batch norm after it in its weights; products are rounded once, from float64."""
    scale, shift = deepcopy(after).double().scale_and_shift
    weight = layer.weight * scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
    bias = shift if layer.bias is None else layer.bias * scale + shift
    return _weighted(place, layer, tensor_to_array(weight), tensor_to_array(bias), x)


def tensor_to_array(tensor: Tensor) -> Array:
    """The numbers of a tensor."""
    numbers: Array = tensor.detach().cpu().numpy()
    return numbers


def _alone(place: NodeScope, layer: layers.Conv2d | layers.Linear, x: str) -> str:
    """A layer with its own weights."""
    return _weighted(
        place, layer, tensor_to_array(layer.weight), None if layer.bias is None else tensor_to_array(layer.bias), x
    )


def _weighted(place: NodeScope, layer: layers.Conv2d | layers.Linear, weight: Array, bias: Array | None, x: str) -> str:
    """A layer with any weights."""
    numbers = [place.numbers("weight", weight), *([] if bias is None else [place.numbers("bias", bias)])]
    if isinstance(layer, layers.Linear):
        vector = place.add("Flatten", x, axis=1) if len(place.shape) > 1 else x
        return place.last("Gemm", vector, *numbers, transB=1)
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        raise UnsupportedLayer(place.node, "pads in another way than with zeros, as many on each side")
    top, left = layer.padding
    return place.last(
        "Conv",
        x,
        *numbers,
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.stride),
        pads=[top, left, top, left],
        dilations=list(layer.dilation),
        group=layer.groups,
    )


def _norm(place: NodeScope, layer: batch_norm.BatchNorm, x: str) -> str:
    """One that is on its own, as a factor and an addend of each channel."""
    scale, shift = (
        each.reshape(-1, *[1] * (len(place.shape) - 1)) for each in deepcopy(layer).double().scale_and_shift
    )
    scaled = place.add("Mul", x, place.numbers("scale", tensor_to_array(scale)))
    return place.last("Add", scaled, place.numbers("shift", tensor_to_array(shift)))


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
    return {"kernel_shape": kernel, "strides": stride, "pads": padding * 2}


def _voting(place: NodeScope, layer: pooling.VotingPool, x: str) -> str:
    groups = place.graph.sizes(-1, place.shape[0] // layer.kernel, layer.kernel)
    return place.last("ReduceMean", place.add("Reshape", x, groups), axes=[2], keepdims=0)


def _nothing(_: NodeScope, __: nn.Module, x: str) -> str:
    """What does nothing in evaluation."""
    return x


TRANSLATIONS: dict[type[nn.Module], Translate] = {
    layers.Conv2d: _alone,
    layers.Linear: _alone,
    layers.Flatten: lambda place, _, x: place.last("Flatten", x, axis=1),
    layers.Dropout: _nothing,
    nn.Identity: _nothing,
    nn.ReLU: lambda place, _, x: place.last("Relu", x),
    batch_norm.BatchNorm: _norm,
    pooling.MaxPool2d: _max_pool,
    pooling.AvgPool2d: _avg_pool,
    pooling.GlobalAvgPool: lambda place, _, x: place.last("ReduceMean", x, axes=[2, 3], keepdims=0),
    pooling.VotingPool: _voting,
}
"""By the module's class. A layer of one's own that builds one of these needs nothing; another one puts its own here."""


INSTRUCTIONS = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "neg": "Neg",
    "abs": "Abs",
    "less": "Less",
    "most": "LessOrEqual",
    "set": "Identity",
}
"""ONNX's names of what is in the tape of a join, see :mod:`sewdsl.snn.kernels.tapes`."""


def translate_join(place: NodeScope, module: Join, branch: str, identity: str) -> str:
    """Puts g(A, S) into a graph, also that of a join of one's own; the name of what it gives.

    Raises:
        UnsupportedLayer: it is more than plain arithmetic.
    """
    tape = tapes.trace_join(module.spec, branch=True)
    if tape is None:
        raise UnsupportedLayer(place.node, "computes more than plain arithmetic, and ONNX has no word for that")
    values, entries = {"s": branch, "z": identity}, tape.split("; ")
    for number, entry in enumerate(entries):
        instruction, *words = entry.split()
        operands = [values[word] if word in values else place.numbers(word, float(word)) for word in words]
        compares = instruction in {"less", "most"}
        last = number == len(entries) - 1
        found = (place.last if last and not compares else place.add)(INSTRUCTIONS[instruction], *operands)
        values[f"t{number}"] = place.add("Cast", found, to=place.graph.type) if compares else found
    return found
