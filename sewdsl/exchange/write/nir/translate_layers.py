"""Translation of layers to NIR nodes.

Shapes are per time-step and sample: NIR has neither axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import nir
import numpy as np
import torch

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.ir.op import JOIN_OPERANDS, Activation, Join, LinearNeuron, Neuron, Op
from sewdsl.lower.evaluated_layers import EvaluatedLayer, factor_and_shift
from sewdsl.ops.joins import Add
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.delay import Delay
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norms import BatchNorm
from sewdsl.ops.layers.pool import AvgPool, GlobalAvgPool, MaxPool
from sewdsl.ops.layers.scaling import Dropout, DropPath, Scale
from sewdsl.ops.layers.shapes import Flatten, Reshape
from sewdsl.ops.neurons.activations import PReLU, ReLU

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]
    Shape = tuple[int, ...]
    Pair = tuple[int, int]


MAP_NDIM = 3
"""Number of axes of ``[C, H, W]``."""


def _conv(  # noqa: PLR0913 -- the arguments of a convolution
    weight: Array,
    bias: Array,
    shapes: tuple[Shape, Shape],
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> nir.Conv2d | nir.Conv1d:
    """Return a convolution of feature maps or rows. ``shapes`` are those of input and output."""
    # Set the shapes explicitly: nir 1.0.8 infers them as if there were one group and a square kernel.
    (_, *sizes), _ = shapes
    if len(sizes) == 1:
        node = nir.Conv1d(sizes[0], weight, stride[0], padding[0], dilation[0], groups, bias)
    else:
        node = nir.Conv2d(tuple(sizes), weight, stride, padding, dilation, groups, bias)
    node.input_type, node.output_type = ({key: np.array(s)} for key, s in zip(("input", "output"), shapes, strict=True))
    return node


def _slide(op: AvgPool | MaxPool, site: EvaluatedLayer, shape: Shape, value: float) -> nir.Conv1d:
    """Return the scaled sum of each window of a row, as a convolution: NIR pools over two axes only."""
    (kernel,), (stride,), (padding,) = op.window(site.inputs[0])
    channels = shape[0]
    weight = torch.eye(channels, dtype=torch.float64)[:, :, None].expand(-1, -1, kernel) * value
    bias = torch.zeros(channels)
    shapes = site.inputs[0].shape, shape
    return _conv(site.array(weight), site.array(bias), shapes, stride=(stride, stride), padding=(padding, padding))


def _avg_pool(kernel: Pair, stride: Pair, padding: Pair) -> nir.AvgPool2d:
    """Return the mean of each window, including padded zeros."""
    return nir.AvgPool2d(np.array(kernel), np.array(stride), np.array(padding))


def _flatten(shape: Shape) -> nir.Flatten:
    return nir.Flatten({"input": np.array(shape)}, 0, -1)


def _reshaped(op: Reshape, site: EvaluatedLayer) -> list[NirNode]:
    """Return a flattening, the only change of shape that NIR has."""
    if len(op.shape) > 1 and op.shape != site.inputs[0].shape:
        raise UnsupportedLayer(site.node, "makes a feature map of other axes; NIR can only flatten")
    return [] if op.shape == site.inputs[0].shape else [NirNode("", _flatten(site.inputs[0].shape))]


def _scale(factor: float, shape: Shape, dtype: np.dtype[np.float64]) -> nir.Scale:
    return nir.Scale(_full(shape, factor, dtype))


def _threshold(value: float, shape: Shape, dtype: np.dtype[np.float64]) -> nir.Threshold:
    """Return a node that outputs 1 where an element exceeds a value, else 0."""
    return nir.Threshold(_full(shape, value, dtype))


def identity(shape: Shape, dtype: np.dtype[np.float64]) -> nir.NIRNode:
    """Return an identity node."""
    # Every NIR reader supports 1x1 pooling of feature maps.
    return _avg_pool((1, 1), (1, 1), (0, 0)) if len(shape) == MAP_NDIM else _scale(1.0, shape, dtype)


def current_based(neurons: nir.LIF, decay: float, dt: float) -> nir.CubaLIF:
    """Return leaky neurons whose synaptic current decays by a factor per time-step. Its input has gain 1."""
    tau_syn = dt / (1 - decay)
    shape = neurons.tau.shape
    times, weights = _full(shape, tau_syn), _full(shape, tau_syn / dt)
    others = neurons.v_leak, neurons.v_threshold, neurons.v_reset
    return nir.CubaLIF(times, neurons.tau, neurons.r, *others, weights)


def _full(shape: Shape, value: float, dtype: np.dtype[np.float64] = np.dtype(np.float64)) -> Array:
    """Return a constant array of a shape, without allocating its elements."""
    return np.broadcast_to(np.array(value, dtype), shape)


class NirNode(NamedTuple):
    """NIR node of a layer or of a part of it."""

    part: str
    """Suffix of its name. Empty for the node with the layer's output."""
    node: nir.NIRNode | None
    """The node. None for the sum of its inputs."""
    reads: tuple[int | str, ...] = (0,)
    """Operands of the layer by index, and other parts by name. The node reads their sum."""


def layer_nodes(op: Op, site: EvaluatedLayer) -> list[NirNode]:
    """Return the nodes of a layer in order of computation, none for an identity, or raise UnsupportedLayer."""
    # The most specific kind comes first, e.g. Add before Join.
    for kind in type(op).__mro__:
        if kind in NODES:
            return NODES[kind](op, site)
    if isinstance(op, Activation) and op.equations is not None:
        return _equations(op, site)
    if op.equations is not None:
        raise UnsupportedLayer(site.node, "is a neuron with several inputs; NIR neurons have one")
    if op.reads == "sequence":
        raise UnsupportedLayer(site.node, "needs all time-steps at once; NIR nodes process one at a time")
    if op.fixed_steps:
        raise UnsupportedLayer(site.node, "has weights for each time-step; NIR nodes have the same at all time-steps")
    if op.reads == "past":
        combines, what = ("currents", "neuron") if isinstance(op, Activation) else ("inputs", "node")
        raise UnsupportedLayer(site.node, f"combines the {combines} of several time-steps, which no NIR {what} does")
    raise UnsupportedLayer(site.node, "has no equivalent in NIR")


def _convolution(op: Conv, site: EvaluatedLayer) -> list[NirNode]:
    weight, bias = site.folded()
    if bias is None:  # nir 1.0.8 requires a bias for convolutions.
        bias = site.array(torch.zeros(op.channels))
    shapes = site.inputs[0].shape, site.node.output.shape
    window = {"stride": op.stride, "padding": op.pads, "dilation": op.dilation}
    return [NirNode("", _conv(weight, bias, shapes, **window, groups=op.groups))]


def _linear(op: Linear, site: EvaluatedLayer) -> list[NirNode]:
    weight, bias = site.folded()
    node = nir.Linear(weight) if bias is None else nir.Affine(weight, bias)
    shape = site.inputs[0].shape
    if len(shape) == 1:
        return [NirNode("", node)]
    return [NirNode("flatten", _flatten(shape)), NirNode("", node, ("flatten",))]


def _batch_norm(op: BatchNorm, site: EvaluatedLayer) -> list[NirNode]:
    """Return a 1x1 convolution without mixing of channels, or a diagonal matrix."""
    # One group, since nir 1.0.8 rejects files with several groups, and SpikingJelly does not read them.
    factor, shift = factor_and_shift(op, site.learned)
    weight, bias, shape = site.array(factor.diag()), site.array(shift), site.inputs[0].shape
    if len(shape) == 1:
        return [NirNode("", nir.Affine(weight, bias))]
    window = weight.reshape(*weight.shape, *[1] * (len(shape) - 1))
    return [NirNode("", _conv(window, bias, (shape, shape)))]


def _rectified(op: ReLU | PReLU, site: EvaluatedLayer) -> list[NirNode]:
    """Return no nodes: ReLU and PReLU are identities for values that are never negative."""
    if site.inputs[0].values.upper is None or site.inputs[0].values.lower:
        values = "real values" if site.inputs[0].values.upper is None else "values below 0"
        raise UnsupportedLayer(site.node, f"rectifies {values}, which no NIR node does")
    return []


def _average(op: AvgPool, site: EvaluatedLayer) -> list[NirNode]:
    if len(site.inputs[0].shape) == 1:
        (classes,), group_size = site.node.output.shape, op.kernel[0]
        averages = torch.full((1, group_size), 1 / group_size, dtype=torch.float64)
        return [NirNode("", nir.Linear(site.array(torch.kron(torch.eye(classes, dtype=torch.float64), averages))))]
    if len(site.inputs[0].shape) < MAP_NDIM:
        return [NirNode("", _slide(op, site, site.node.output.shape, 1 / op.kernel[0]))]
    return [NirNode("", _avg_pool(op.kernel, op.stride, op.padding))]


def _global_average(op: GlobalAvgPool, site: EvaluatedLayer) -> list[NirNode]:
    c, *lengths = site.inputs[0].shape
    if len(lengths) == 1:
        pool = _slide(AvgPool(kernel=(lengths[0], lengths[0])), site, (c, 1), 1 / lengths[0])
    else:
        pool = _avg_pool((lengths[0], lengths[1]), (lengths[0], lengths[1]), (0, 0))
    return [NirNode("pool", pool), NirNode("", _flatten((c, *[1] * len(lengths))), ("pool",))]


def _maximum(op: MaxPool, site: EvaluatedLayer) -> list[NirNode]:
    """Return a max pooling as thresholds of window sums: one for spikes, one for each level of counts."""
    largest, in_shape, out_shape = site.inputs[0].values.count, site.inputs[0].shape, site.node.output.shape
    if largest is None:
        raise UnsupportedLayer(
            site.node, "takes the maximum of real values; NIR can express only that of spikes and counts"
        )
    window = np.array(op.kernel), np.array(op.stride), np.array(op.padding)

    def window_sum() -> nir.NIRNode:
        return nir.SumPool2d(*window) if len(in_shape) == MAP_NDIM else _slide(op, site, out_shape, 1.0)

    if largest == 1:
        return [NirNode("sum", window_sum()), NirNode("", _threshold(0.5, out_shape, site.dtype), ("sum",))]
    # The maximum is at least `level` if some count in the window is: add these thresholds up.
    levels = []
    for level in range(1, largest + 1):
        levels += [
            NirNode(f"level{level}", _threshold(level - 0.5, in_shape, site.dtype)),
            NirNode(f"sum{level}", window_sum(), (f"level{level}",)),
            NirNode(f"any{level}", _threshold(0.5, out_shape, site.dtype), (f"sum{level}",)),
        ]
    return [*levels, NirNode("", identity(out_shape, site.dtype), tuple(f"any{i}" for i in range(1, largest + 1)))]


def _join(op: Join, site: EvaluatedLayer) -> list[NirNode]:
    """Return a join of spikes as a threshold of ±A ± S."""
    spikes = all(signal.values.binary for signal in site.inputs)
    if spikes and len(site.inputs) > len(JOIN_OPERANDS):
        return _threshold_of_many(op, site)
    signed_threshold = _signs(op) if spikes else None
    if signed_threshold is None:
        raise UnsupportedLayer(site.node, "is not a threshold of a sum of spikes, the only join that NIR can express")
    *signs, threshold = signed_threshold
    shape = site.node.output.shape
    negated = [
        NirNode(part, _scale(-1.0, shape, site.dtype), (index,))
        for index, (sign, part) in enumerate(zip(signs, ("branch", "identity"), strict=True))
        if sign < 0
    ]
    # A negated operand is read through its Scale node.
    reads = tuple({piece.reads[0]: piece.part for piece in negated}.get(index, index) for index in (0, 1))
    return [*negated, NirNode("", _threshold(threshold, shape, site.dtype), reads)]


def _threshold_of_many(op: Join, site: EvaluatedLayer) -> list[NirNode]:
    """Return a join of n spikes that fires if at least a minimum number of them are 1."""
    n = len(site.inputs)
    counts = torch.arange(n + 1)
    spikes = [(counts > index).to(torch.float32) for index in range(n)]  # Column i has i spikes, 0 to n.
    expected = reduce(lambda branch, identity: op.combine(branch=branch, identity=identity), spikes)
    for minimum in range(1, n + 1):
        if torch.equal((counts >= minimum).to(expected.dtype), expected):
            return [NirNode("", _threshold(minimum - 0.5, site.node.output.shape, site.dtype), tuple(range(n)))]
    raise UnsupportedLayer(site.node, "is not a threshold of a sum of spikes, the only join that NIR can express")


def _signs(op: Join) -> tuple[int, int, float] | None:
    """Return the signs of A and S, and the threshold: (1, 1, 1.5) for AND, (-1, 1, 0.5) for IAND."""
    branch, identity = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])
    expected = op.combine(branch=branch, identity=identity)
    for a, s, threshold in product((1, -1), (1, -1), (1.5, 0.5, -0.5, -1.5)):
        if torch.equal((a * branch + s * identity > threshold).to(expected.dtype), expected):
            return a, s, threshold
    return None


NOT_LINEAR = "does not charge like IF or LIF in NIR"


def _spiking(op: Neuron, site: EvaluatedLayer) -> list[NirNode]:
    if op.v_reset is None:
        raise UnsupportedLayer(site.node, "has a soft reset (v_reset=none); NIR neurons have a hard reset")
    if not isinstance(op, LinearNeuron):
        raise UnsupportedLayer(site.node, NOT_LINEAR)
    return _neurons((*map(float, op.dynamics(**site.learned)), op.v_threshold, op.rest), site)


def _equations(op: Activation, site: EvaluatedLayer) -> list[NirNode]:
    if op.fixed_steps:
        raise UnsupportedLayer(
            site.node, "has parameters for each time-step; NIR nodes have the same at all time-steps"
        )
    # A scalar applies to all channels, a vector has one element per channel.
    rows = {name: value.reshape(-1) for name, value in site.learned.items()}
    constants = op.hard_reset_numbers(rows)
    if constants is None:
        raise UnsupportedLayer(site.node, "has equations that no NIR neuron can express")
    return _neurons(constants, site)


def _neurons(constants: Sequence[ArrayLike], site: EvaluatedLayer) -> list[NirNode]:
    """Return the equation whose Euler step of dt seconds is H = decay · V + gain · X + drift.

    Args:
        constants: Decay, gain, drift, threshold and reset, each a number or an array per channel.
    """
    dt, shape = site.dt, site.inputs[0].shape
    # The values are float64, since they are divided by seconds.
    decay, gain, drift, threshold, reset = (
        np.asarray(each, np.float64).reshape(-1, *[1] * (len(shape) - 1)) for each in constants
    )
    rate = 1 - decay
    # Without decay the neuron is an IF, whose equation has no time constant.
    if not rate.any() and not drift.any():
        return [NirNode("", nir.IF(*(np.broadcast_to(each, shape) for each in (gain / dt, threshold, reset))))]
    if ((rate <= 0) | (rate > 1)).any():
        raise UnsupportedLayer(site.node, NOT_LINEAR)
    rate = np.where(abs(rate - gain) <= 2**-52, gain, rate)  # LIF and PLIF up to rounding: r is exactly 1.
    leak = np.where(np.isclose(drift, rate * reset, rtol=1e-12, atol=0), reset, drift / rate)
    values = dt / rate, gain / rate, leak, threshold, reset
    return [NirNode("", nir.LIF(*(np.broadcast_to(each, shape) for each in values)))]


def _scaled(op: Scale, site: EvaluatedLayer) -> list[NirNode]:
    """Translate a factor of the layer, or one of each channel."""
    shape = site.inputs[0].shape
    if op.per is None:
        return [NirNode("", _scale(float(site.learned["weight"]) if op.learn else op.value, shape, site.dtype))]
    factors = site.array(site.learned["weight"]).reshape(-1, *[1] * (len(shape) - 1))
    return [NirNode("", nir.Scale(np.broadcast_to(factors, shape).copy()))]


NODES: dict[type, Callable[..., list[NirNode]]] = {
    Conv: _convolution,
    Linear: _linear,
    BatchNorm: _batch_norm,
    Dropout: lambda _op, _site: [],
    DropPath: lambda _op, _site: [],
    Scale: _scaled,
    ReLU: _rectified,
    PReLU: _rectified,
    Flatten: lambda _, site: [NirNode("", _flatten(site.inputs[0].shape))] if len(site.inputs[0].shape) > 1 else [],
    Reshape: _reshaped,
    AvgPool: _average,
    GlobalAvgPool: _global_average,
    MaxPool: _maximum,
    Join: _join,
    Add: lambda _, site: [NirNode("", None, tuple(range(len(site.inputs))))],
    Delay: lambda op, site: [NirNode("", nir.Delay(_full(site.node.output.shape, op.steps * site.dt)))],
    Neuron: _spiking,
}
"""Translations by kind, or by family of kinds."""
