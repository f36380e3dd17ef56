"""Constructor calls of PyTorch layers on whole sequences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.python.layer_classes import NORMS, TEXTS, layer_definitions
from sewdsl.exchange.write.python.neurons import Neurons
from sewdsl.exchange.write.source import loops
from sewdsl.exchange.write.source.expressions import Arg, Literal, PyCall, Unset
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Op, Spiking
from sewdsl.ir.signal import Signal
from sewdsl.ops.attention import Apply, Attention, Scores, Softmax
from sewdsl.ops.layers import norms
from sewdsl.ops.layers.attention import ChannelAttention, SpatialAttention, TemporalAttention, TemporalChannelAttention
from sewdsl.ops.layers.conv import Conv, TransposedConv
from sewdsl.ops.layers.delay import Delay
from sewdsl.ops.layers.fourier import Fourier
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.pool import AvgPool, GlobalAvgPool, MaxPool
from sewdsl.ops.layers.reduction import Largest, Mean, Sum
from sewdsl.ops.layers.scaling import Dropout, DropPath, Scale
from sewdsl.ops.layers.shapes import Flatten, Pad, Reshape, Slice, Upsample
from sewdsl.ops.layers.time_filters import DelayedLinear, TimeFilter
from sewdsl.ops.layers.tokens import LearnedPosition, LearnedTokens, Swap, TokenEmbedding
from sewdsl.ops.neurons.activations import GELU, Logistic, PReLU, ReLU, SiLU, Tanh


def _positional(name: str, value: object, channels: str = "") -> Arg:
    return Arg(name, Literal(_side(value)), positional=True, channels=channels)


def _named(name: str, value: object, default: object = Unset.UNSET) -> Arg:
    return Arg(name, Literal(_side(value)), default)


def _shape(shape: tuple[int, ...]) -> Arg:
    """Return an argument with all lengths, also of a square."""
    return Arg("shape", Literal(shape), positional=True)


def _side(value: object) -> object:
    """Return height and width, or one number if they are equal."""
    return value[0] if isinstance(value, tuple) and value[0] == value[1] else value


def _channels(x: Signal, name: str = "channels") -> Arg:
    return _positional(name, x.channels, "out")


def _axes(x: Signal) -> str:
    """Return the suffix of a PyTorch layer for feature maps: ``2d`` or ``1d``."""
    return f"{len(x.shape) - 1}d"


def _convolution(name: str, op: Conv | TransposedConv, x: Signal, *own: Arg) -> PyCall:
    """Return the call of a convolution. ``own`` are further arguments of its class."""
    return PyCall(
        f"{name}{_axes(x)}",
        (
            _positional("in_channels", x.channels, "in"),
            _positional("out_channels", op.channels, "out"),
            _positional("kernel_size", op.kernel),
            Arg("stride", Literal(_side(op.stride)), 1, positional=True),
            *own,
            _named("groups", op.groups, 1),
            _named("bias", bool(op.bias), default=True),
        ),
    )


def _prelu(op: PReLU, x: Signal) -> PyCall:
    # A single slope is independent of the axes, so that PyTorch's own class suffices.
    initial = _named("init", op.slope, 0.25)
    return PyCall("nn.PReLU", (initial,)) if op.shared else PyCall("PReLU", (_channels(x), initial))


def _norm(op: norms.BatchNorm, x: Signal) -> PyCall:
    weight = _named("weight", op.weight, 1.0)
    if isinstance(op, norms.TdBatchNorm):
        return PyCall("TdBatchNorm2d", (_channels(x), _named("scale", op.scale, 1.0), *_statistics(op), weight))
    name = NORMS[_axes(x) == "2d"]
    if op.weight == 1:
        return PyCall(name, (_channels(x), *_statistics(op)))
    return PyCall(f"Weighted{name}", (_channels(x), weight, *_statistics(op)))


def _step_norm(op: norms.BatchNormThroughTime | norms.TemporalAccumulatedBatchNorm, x: Signal) -> PyCall:
    sizes = _channels(x), _positional("steps", op.T)
    return PyCall("StepBatchNorm", (*sizes, *_statistics(op), _named("accumulate", op.accumulates, default=False)))


def _statistics(op: norms.Norm) -> tuple[Arg, Arg]:
    return _named("eps", op.eps, 1e-5), _named("momentum", op.momentum, 0.1)


def _pool(name: str, op: MaxPool | AvgPool, x: Signal) -> PyCall:
    sizes = _positional("kernel_size", op.kernel), _positional("stride", op.stride), _named("padding", op.padding, 0)
    return PyCall(f"{name}{_axes(x)}", sizes)


def _avg_pool(op: AvgPool, x: Signal) -> PyCall:
    """Return the call of an average pooling, or of a voting layer for vectors."""
    if len(x.shape) == 1:
        return PyCall("VotingPool", (_positional("kernel", op.kernel[0]),))
    return _pool("AvgPool", op, x)


def _linear(op: Linear, x: Signal) -> PyCall:
    is_vector = len(x.shape) == 1
    # A vector has its features as the last axis: nn.Linear needs no flattening.
    return PyCall(
        "nn.Linear" if is_vector else "Linear",
        (
            _positional("in_features", x.elements, "in" if is_vector else ""),
            _positional("out_features", op.features, "out"),
            _named("bias", op.bias, default=True),
        ),
    )


def _scale(op: Scale, x: Signal) -> PyCall:
    """Return the call of a factor, or of factors of channels."""
    if op.per is not None:
        return PyCall("ChannelScale", (_channels(x), _positional("value", op.value)))
    return PyCall("Scale", (_positional("value", op.value), _named("learn", op.learn)))


def _delayed_linear(op: DelayedLinear, x: Signal) -> PyCall:
    sizes = _positional("in_features", x.elements, "in" if len(x.shape) == 1 else ""), _positional("out", op.features)
    return PyCall("DelayedLinear", (*sizes, _named("reach", op.reach), _named("bias", op.bias, default=True)))


def _reduction(op: Sum | Mean | Largest, _: Signal) -> PyCall:
    if op.over == "time":
        return PyCall(f"Time{type(op).__name__}")
    groups = op.groups if op.over == "channels" else None
    return PyCall(type(op).__name__, (_positional("groups", groups),))


def _pad(op: Pad, x: Signal) -> PyCall:
    """Return the call of PyTorch's padding layer."""
    height, width = op.p
    # PyTorch's order: left, right, top, bottom.
    sides = height if height == width else (width, width, height, height)
    name = "ZeroPad" if op.mode == "zeros" else "ReflectionPad"
    return PyCall(f"{name}{_axes(x)}", (Arg("padding", Literal(sides), positional=True),))


def _position(op: LearnedPosition, x: Signal) -> PyCall:
    if op.per == "step":
        return PyCall("StepPosition", (_channels(x), _positional("steps", op.T)))
    return PyCall("Position", (_shape(x.shape),))


def _token_product(op: Scores | Apply | Attention, *inputs: Signal) -> PyCall:
    heads, terms = op.heads_and_terms(*inputs)
    return PyCall(
        type(op).__name__,
        (
            *(_positional(name, value) for name, value in (("heads", heads), ("scale", op.scale), ("terms", terms))),
            _named("chunk", op.chunk, 1),
            _named("causal", dict(op).get("causal"), None),
        ),
    )


LAYER_CALLS: dict[type[Op], Callable[..., PyCall]] = {
    Scores: _token_product,
    Apply: _token_product,
    Attention: _token_product,
    Softmax: lambda op, _: PyCall(
        "Softmax", (_positional("groups", op.groups), _named("causal", op.causal is not None, default=False))
    ),
    Conv: lambda op, x: _convolution("Conv", op, x, _named("padding", op.pads, 0), _named("dilation", op.dilation, 1)),
    TransposedConv: lambda op, x: _convolution(
        "ConvTranspose", op, x, _named("padding", op.pads[0], 0), _named("output_padding", op.pads[1], 0)
    ),
    norms.BatchNorm: _norm,
    norms.TdBatchNorm: _norm,
    norms.TemporalEffectiveBatchNorm: lambda op, x: PyCall(
        "StepScaledBatchNorm", (_channels(x), _positional("steps", op.T), *_statistics(op))
    ),
    norms.BatchNormThroughTime: _step_norm,
    norms.TemporalAccumulatedBatchNorm: _step_norm,
    norms.LayerNorm: lambda op, x: PyCall("LayerNorm", (_channels(x), _named("eps", op.eps, 1e-5))),
    norms.RootMeanSquareNorm: lambda op, x: PyCall("RMSNorm", (_channels(x), _named("eps", op.eps))),
    norms.GroupNorm: lambda op, x: PyCall(
        "GroupNorm", (_positional("num_groups", op.groups), _channels(x, "num_channels"), _named("eps", op.eps, 1e-5))
    ),
    MaxPool: partial(_pool, "MaxPool"),
    AvgPool: _avg_pool,
    GlobalAvgPool: lambda *_: PyCall("GlobalAvgPool"),
    Upsample: lambda op, x: PyCall(
        "Upsample",
        (
            _named("scale_factor", op.factor),
            _named("mode", "linear" if op.mode == "bilinear" and _axes(x) == "1d" else op.mode, "nearest"),
        ),
    ),
    Pad: _pad,
    Fourier: lambda op, _: PyCall("FourierTransform", (_named("inverse", op.inverse, default=False),)),
    Linear: _linear,
    Flatten: lambda *_: PyCall("nn.Flatten", (_positional("start_dim", 2),)),
    Reshape: lambda op, _: PyCall("Reshaping", (_shape(op.shape),)),
    Slice: lambda op, x: (
        PyCall("TimeSlice", (_positional("index", op.start),))
        if op.over == "time"
        else PyCall("Slicing", (*map(_positional, ("start", "stop", "over"), (*op.bounds(x), op.over)),))
    ),
    TokenEmbedding: lambda op, x: PyCall(
        "Embedding", (_positional("values", op.weight_shape(x)[0]), _positional("features", op.features))
    ),
    LearnedPosition: _position,
    LearnedTokens: lambda op, x: PyCall(
        "Tokens", (_positional("channels", op.weight_shape(x)[0]), _positional("tokens", op.tokens))
    ),
    Swap: lambda op, x: PyCall("Exchange", (_shape(op.infer(x).shape),)),
    Dropout: lambda op, _: PyCall("StepDropout" if op.per == "step" else "Dropout", (_positional("p", op.p),)),
    DropPath: lambda op, _: PyCall("DropPath", (_positional("p", op.p),)),
    ReLU: lambda *_: PyCall("nn.ReLU"),
    GELU: lambda *_: PyCall("nn.GELU"),
    SiLU: lambda *_: PyCall("nn.SiLU"),
    Logistic: lambda *_: PyCall("nn.Sigmoid"),
    Tanh: lambda *_: PyCall("nn.Tanh"),
    PReLU: _prelu,
    Scale: _scale,
    TimeFilter: lambda op, x: PyCall(
        "TimeFilter", (_channels(x), _positional("taps", op.taps), _named("dilation", op.dilation, 1))
    ),
    DelayedLinear: _delayed_linear,
    Sum: _reduction,
    Mean: _reduction,
    Largest: _reduction,
    TemporalAttention: lambda op, _: PyCall("TemporalAttention", (_positional("steps", op.T), _positional("r", op.r))),
    ChannelAttention: lambda op, x: PyCall("ChannelAttention", (_channels(x), _positional("r", op.r))),
    SpatialAttention: lambda op, _: PyCall("SpatialAttention", (_positional("kernel", op.k),)),
    TemporalChannelAttention: lambda op, x: PyCall(
        "TemporalChannelAttention",
        (
            _positional("steps", op.T),
            _channels(x),
            _positional("kernel_t", op.kernel_t),
            _positional("kernel_c", op.kernel_c),
        ),
    ),
}
"""Constructor calls by kind, given the operation and its input signal."""


def layer_call(node: Node, network: Network, unsupported: str) -> PyCall:
    """Return the constructor call of a layer or delay, with the class names of PyTorch files.

    Args:
        unsupported: Predicate of the message about a layer that is not in :data:`LAYER_CALLS`.
    """
    if isinstance(node.op, Delay):
        return loops.delay_call(node)
    if type(node.op) not in LAYER_CALLS:
        raise UnsupportedLayer(node, unsupported)
    call = LAYER_CALLS[type(node.op)](node.op, *network.inputs(node))
    if network.reduced and isinstance(node.op, norms.BatchNorm):
        index = network.nodes.index(node)
        # The calls of a part have one module.
        if network.reduced.issuperset(network.users.get(index, (index,))):
            return PyCall(f"Once{call.callee}", call.args)
    return call


class TorchLayers:
    """Layers of a network in plain PyTorch."""

    def __init__(self, network: Network, taken: set[str]) -> None:
        self._network, self._neurons = network, Neurons(network, taken)
        self._used: set[str] = set()
        self._has_loops = bool(network.graph.looped)

    def module_call(self, node: Node) -> PyCall:
        """Return the constructor call of a node's module."""
        if isinstance(node.op, Spiking) or node.op.defined_by_text:
            return self._neurons.module_call(node, self._network.inputs(node)[0])
        call = layer_call(node, self._network, "is a layer that Python export does not support")
        self._used.add(call.callee)
        return call

    def definitions(self) -> Sequence[str]:
        """Return the functions and classes that the calls so far require."""
        layers = layer_definitions(TEXTS, self._used, (), looped=self._has_loops)
        return [*layers, *self._neurons.definitions()]
