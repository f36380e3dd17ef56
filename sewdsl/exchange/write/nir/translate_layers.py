"""Layers as nodes of NIR, with the shapes of their inputs and outputs.

Shapes are per time-step and sample: NIR has neither axis.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from itertools import product
from math import isclose
from typing import TYPE_CHECKING, NamedTuple

import nir
import numpy as np
import torch

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.evaluated_layers import EvaluatedLayer, factor_and_shift
from sewdsl.ir.op import JOIN_OPERANDS, Activation, Join, LinearNeuron, Neuron, Op
from sewdsl.ir.op import LinearDynamics as Dynamics
from sewdsl.ops.joins import Add
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.delay import Delay
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norms import BatchNorm
from sewdsl.ops.layers.pool import AvgPool, GlobalAvgPool, MaxPool
from sewdsl.ops.layers.scaling import Dropout, DropPath, Scale
from sewdsl.ops.layers.shapes import Flatten
from sewdsl.ops.neurons.activations import PReLU, ReLU

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Shape = tuple[int, ...]
    Pair = tuple[int, int]


MAP_NDIM = 3
"""Axes of ``[C, H, W]``."""


def _conv(  # noqa: PLR0913 -- what a convolution has
    weight: Array,
    bias: Array,
    shapes: tuple[Shape, Shape],
    *,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> nir.Conv2d | nir.Conv1d:
    """Return a convolution of maps or rows; ``shapes``: of what it reads and of what it gives.

    These are stated, since nir 1.0.8 works them out as if there were one group and the kernel were square.
    """
    (_, *places), _ = shapes
    if len(places) == 1:
        node = nir.Conv1d(places[0], weight, stride[0], padding[0], dilation[0], groups, bias)
    else:
        node = nir.Conv2d(tuple(places), weight, stride, padding, dilation, groups, bias)
    node.input_type, node.output_type = ({key: np.array(s)} for key, s in zip(("input", "output"), shapes, strict=True))
    return node


def _slide(op: AvgPool | MaxPool, site: EvaluatedLayer, shape: Shape, value: float) -> nir.Conv1d:
    """Return the sum of each window of rows times a number, as a convolution: NIR has pooling over two axes only."""
    (kernel,), (stride,), (padding,) = op.window(site.inputs[0])
    channels = shape[0]
    weight = torch.eye(channels, dtype=torch.float64)[:, :, None].expand(-1, -1, kernel) * value
    bias = torch.zeros(channels)
    shapes = site.inputs[0].shape, shape
    return _conv(site.array(weight), site.array(bias), shapes, stride=(stride, stride), padding=(padding, padding))


def _avg_pool(kernel: Pair, stride: Pair, padding: Pair) -> nir.AvgPool2d:
    """Return the mean of each window; padded zeros count."""
    return nir.AvgPool2d(np.array(kernel), np.array(stride), np.array(padding))


def _flatten(shape: Shape) -> nir.Flatten:
    """Return the elements of a map as a vector."""
    return nir.Flatten({"input": np.array(shape)}, 0, -1)


def _scale(factor: float, shape: Shape, dtype: np.dtype[np.float64]) -> nir.Scale:
    """Return every element times a number."""
    return nir.Scale(_full(shape, factor, dtype))


def _threshold(value: float, shape: Shape, dtype: np.dtype[np.float64]) -> nir.Threshold:
    """Return a node that gives 1 where an element is above a value, else 0."""
    return nir.Threshold(_full(shape, value, dtype))


def identity(shape: Shape, dtype: np.dtype[np.float64]) -> nir.NIRNode:
    """Return a node that gives its input: of maps, a pooling of windows of one, which every reader knows."""
    return _avg_pool((1, 1), (1, 1), (0, 0)) if len(shape) == MAP_NDIM else _scale(1.0, shape, dtype)


def current_based(neurons: nir.LIF, decay: float, dt: float) -> nir.CubaLIF:
    """Leaky neurons whose current decays by a factor in each time-step of dt seconds, and adds what comes in whole."""
    tau_syn = dt / (1 - decay)
    shape = neurons.tau.shape
    times, weights = _full(shape, tau_syn), _full(shape, tau_syn / dt)
    others = neurons.v_leak, neurons.v_threshold, neurons.v_reset
    return nir.CubaLIF(times, neurons.tau, neurons.r, *others, weights)


def _full(shape: Shape, value: float, dtype: np.dtype[np.float64] = np.dtype(np.float64)) -> Array:
    """Return one number at every place, without the memory of all of them."""
    return np.broadcast_to(np.array(value, dtype), shape)


class NirNode(NamedTuple):
    """A node of NIR that a layer is made of.

    Attributes:
        part: Its name after the layer's; empty: it gives what the layer gives.
        node: It; None: the sum of what it reads.
        reads: Operands of the layer by their places, other pieces by their parts; several are added up.
    """

    part: str
    node: nir.NIRNode | None
    reads: tuple[int | str, ...] = (0,)


def layer_nodes(op: Op, site: EvaluatedLayer) -> list[NirNode]:
    """Return the nodes of a layer, each after those it reads; none where it gives what it reads.

    Raises:
        UnsupportedLayer: NIR cannot express it.
    """
    for kind in type(op).__mro__:
        if kind in NODES:
            return NODES[kind](op, site)
    if isinstance(op, Activation) and op.equations is not None:
        return _equations(op, site)
    if op.reads == "sequence":
        raise UnsupportedLayer(
            site.node, "reads all time-steps to give any of them, and a node of NIR sees one at a time"
        )
    if op.fixed_steps:
        raise UnsupportedLayer(site.node, "has weights for each time-step, and a node of NIR has the same for all")
    if op.reads == "past":
        raise UnsupportedLayer(site.node, "weighs the currents of several time-steps, which no neuron of NIR does")
    raise UnsupportedLayer(site.node, "has no form in NIR that is known here")


def _convolution(op: Conv, site: EvaluatedLayer) -> list[NirNode]:
    weight, bias = site.folded()
    if bias is None:  # nir 1.0.8 has no convolution without one
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
    """Return a convolution of windows of one that mixes no channels, or a diagonal matrix.

    Not of as many groups as channels: nir 1.0.8 takes files with groups for wrong, and SpikingJelly does not read them.
    """
    factor, shift = factor_and_shift(op, site.learned)
    weight, bias, shape = site.array(factor.diag()), site.array(shift), site.inputs[0].shape
    if len(shape) == 1:
        return [NirNode("", nir.Affine(weight, bias))]
    window = weight.reshape(*weight.shape, *[1] * (len(shape) - 1))
    return [NirNode("", _conv(window, bias, (shape, shape)))]


def _rectified(op: ReLU | PReLU, site: EvaluatedLayer) -> list[NirNode]:
    if site.inputs[0].values.upper is None or site.inputs[0].values.lower:
        what = "real values" if site.inputs[0].values.upper is None else "values below 0"
        raise UnsupportedLayer(site.node, f"rectifies {what}, and NIR has no node that does")
    return []


def _average(op: AvgPool, site: EvaluatedLayer) -> list[NirNode]:
    if len(site.inputs[0].shape) == 1:
        (classes,), voters = site.node.output.shape, op.kernel[0]
        votes = torch.full((1, voters), 1 / voters, dtype=torch.float64)
        return [NirNode("", nir.Linear(site.array(torch.kron(torch.eye(classes, dtype=torch.float64), votes))))]
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
    """Of spikes, whether there is one in the window; of counts, how many levels 1, 2, … are reached in it."""
    upper, before, after = site.inputs[0].values.count, site.inputs[0].shape, site.node.output.shape
    if upper is None:
        raise UnsupportedLayer(
            site.node, "takes the maximum of real values, and NIR can express that of spikes and counts only"
        )
    window = np.array(op.kernel), np.array(op.stride), np.array(op.padding)

    def total() -> nir.NIRNode:
        return nir.SumPool2d(*window) if len(before) == MAP_NDIM else _slide(op, site, after, 1.0)

    if upper == 1:
        return [NirNode("sum", total()), NirNode("", _threshold(0.5, after, site.dtype), ("sum",))]
    found = []
    for level in range(1, upper + 1):
        found += [
            NirNode(f"level{level}", _threshold(level - 0.5, before, site.dtype)),
            NirNode(f"sum{level}", total(), (f"level{level}",)),
            NirNode(f"any{level}", _threshold(0.5, after, site.dtype), (f"sum{level}",)),
        ]
    return [*found, NirNode("", identity(after, site.dtype), tuple(f"any{i}" for i in range(1, upper + 1)))]


def _joined(op: Join, site: EvaluatedLayer) -> list[NirNode]:
    """Of spikes: whether ±A ± S is above a number between two whole ones."""
    spikes = all(signal.values.binary for signal in site.inputs)
    if spikes and len(site.inputs) > len(JOIN_OPERANDS):
        return _threshold_of_many(op, site)
    found = _signs(op) if spikes else None
    if found is None:
        raise UnsupportedLayer(site.node, "is no threshold of a sum of spikes, as NIR can express")
    *signs, least = found
    shape = site.node.output.shape
    negated = [
        NirNode(part, _scale(-1.0, shape, site.dtype), (place,))
        for place, (sign, part) in enumerate(zip(signs, ("branch", "identity"), strict=True))
        if sign < 0
    ]
    reads = tuple({piece.reads[0]: piece.part for piece in negated}.get(place, place) for place in (0, 1))
    return [*negated, NirNode("", _threshold(least, shape, site.dtype), reads)]


def _threshold_of_many(op: Join, site: EvaluatedLayer) -> list[NirNode]:
    """Of n spikes: whether so many of them at least are there."""
    n = len(site.inputs)
    counts = torch.arange(n + 1)
    spikes = [(counts > place).to(torch.float32) for place in range(n)]  # 0 of them, 1, …, n
    wanted = reduce(lambda branch, identity: op.combine(branch=branch, identity=identity), spikes)
    for least in range(1, n + 1):
        if torch.equal((counts >= least).to(wanted.dtype), wanted):
            return [NirNode("", _threshold(least - 0.5, site.node.output.shape, site.dtype), tuple(range(n)))]
    raise UnsupportedLayer(site.node, "is no threshold of a sum of spikes, as NIR can express")


def _signs(op: Join) -> tuple[int, int, float] | None:
    """Return the signs of A and S, and the threshold of their sum; AND: (1, 1, 1.5), IAND: (-1, 1, 0.5)."""
    branch, identity = torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])
    wanted = op.combine(branch=branch, identity=identity)
    for a, s, least in product((1, -1), (1, -1), (1.5, 0.5, -0.5, -1.5)):
        if torch.equal((a * branch + s * identity > least).to(wanted.dtype), wanted):
            return a, s, least
    return None


def _spiking(op: Neuron, site: EvaluatedLayer) -> list[NirNode]:
    if op.v_reset is None:
        raise UnsupportedLayer(
            site.node, "subtracts its threshold where it fires (v_reset=none), which no neuron of NIR does"
        )
    dynamics = op.dynamics(**site.learned) if isinstance(op, LinearNeuron) else None
    found = None if dynamics is None else _neuron(Dynamics(*map(float, dynamics)), op, site)
    if found is None:
        raise UnsupportedLayer(site.node, "charges in a way that neither IF nor LIF of NIR does")
    return [NirNode("", found)]


def _neuron(dynamics: Dynamics, op: Neuron, site: EvaluatedLayer) -> nir.NIRNode | None:
    """Return the differential equation whose Euler step of dt seconds is H = decay · V + gain · X + drift.

    IF, dv/dt = r I: one step adds dt r I. LIF, tau dv/dt = v_leak - v + r I: one step adds dt / tau times that.
    Seconds are divided by time-steps, so the numbers are float64 whatever the weights are.
    """
    decay, gain, drift = dynamics
    dt, shape = site.dt, site.inputs[0].shape
    rate, reset = 1 - decay, op.rest
    if rate == 0 and drift == 0:
        return nir.IF(*(_full(shape, value) for value in (gain / dt, op.v_threshold, reset)))
    if not 0 < rate <= 1:
        return None
    if isclose(rate, gain, rel_tol=0, abs_tol=2**-52):  # LIF and PLIF, apart from rounding: then r is 1
        rate = gain
    leak = reset if isclose(drift, rate * reset, rel_tol=1e-12) else drift / rate
    return nir.LIF(*(_full(shape, value) for value in (dt / rate, gain / rate, leak, op.v_threshold, reset)))


def _equations(op: Activation, site: EvaluatedLayer) -> list[NirNode]:
    if op.fixed_steps:
        raise UnsupportedLayer(site.node, "learns numbers for each time-step, and a node of NIR has the same for all")
    rows = {name: value.reshape(-1) for name, value in site.learned.items()}
    numbers = op.hard_reset_numbers(rows)
    if numbers is None:
        raise UnsupportedLayer(site.node, "has equations that no neuron of NIR has")
    found = _of_channels([np.asarray(each, np.float64) for each in numbers], site)
    if found is None:
        raise UnsupportedLayer(site.node, "charges in a way that neither IF nor LIF of NIR does")
    return [NirNode("", found)]


def _of_channels(numbers: list[Array], site: EvaluatedLayer) -> nir.NIRNode | None:
    """As :func:`_neuron`, with numbers for each channel: decay, gain, drift, threshold and reset."""
    dt, shape = site.dt, site.inputs[0].shape
    places = (-1, *[1] * (len(shape) - 1))
    decay, gain, drift, least, reset = (np.broadcast_to(each.reshape(places), shape) for each in numbers)
    rate = 1 - decay
    if not rate.any() and not drift.any():
        return nir.IF(gain / dt, least, reset)
    if ((rate <= 0) | (rate > 1)).any():
        return None
    return nir.LIF(dt / rate, gain / rate, drift / rate, least, reset)


NODES: dict[type, Callable[..., list[NirNode]]] = {
    Conv: _convolution,
    Linear: _linear,
    BatchNorm: _batch_norm,
    Dropout: lambda _op, _site: [],
    DropPath: lambda _op, _site: [],
    Scale: lambda op, site: [
        NirNode("", _scale(float(site.learned["weight"]) if op.learn else op.value, site.inputs[0].shape, site.dtype))
    ],
    ReLU: _rectified,
    PReLU: _rectified,
    Flatten: lambda _, site: [NirNode("", _flatten(site.inputs[0].shape))] if len(site.inputs[0].shape) > 1 else [],
    AvgPool: _average,
    GlobalAvgPool: _global_average,
    MaxPool: _maximum,
    Join: _joined,
    Add: lambda _, site: [NirNode("", None, tuple(range(len(site.inputs))))],
    Delay: lambda _, site: [NirNode("", nir.Delay(_full(site.node.output.shape, site.dt)))],
    Neuron: _spiking,
}
"""What gives the nodes of a layer, by its kind or the family of that."""
