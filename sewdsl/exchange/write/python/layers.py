"""Layers in PyTorch, each on a whole sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.python.neurons import Neurons
from sewdsl.exchange.write.python.layer_classes import (
    LOOPED_STEP_SCALED_NORM,
    NORMS,
    norm_texts,
    weighted_norm_texts,
)
from sewdsl.exchange.write.source import loops
from sewdsl.exchange.write.source.expressions import Arg, Literal, PyCall
from sewdsl.exchange.write.source.runtime_class import runtime_class
from sewdsl.ir.network import Network
from sewdsl.ir.node import Node
from sewdsl.ir.op import Op, Spiking
from sewdsl.ir.signal import Signal
from sewdsl.ops.layers.attention import ChannelAttention, SpatialAttention, TemporalAttention, TemporalChannelAttention
from sewdsl.ops.layers.conv import Conv, TransposedConv
from sewdsl.ops.layers.delay import Delay
from sewdsl.ops.layers.dropout import Dropout, DropPath
from sewdsl.ops.layers.flatten import Flatten
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norms import BatchNorm, GroupNorm, LayerNorm, TdBatchNorm, TemporalEffectiveBatchNorm
from sewdsl.ops.layers.pool import AvgPool, GlobalAvgPool, MaxPool
from sewdsl.ops.layers.reduction import Mean, Sum
from sewdsl.ops.layers.scale import Scale
from sewdsl.ops.layers.upsample import Upsample
from sewdsl.ops.neurons.activations import GELU, Logistic, PReLU, ReLU, SiLU, Tanh

EACH_STEP = '''\
def each_step(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A layer on all time-steps, [T, N, *], as one batch of T * N samples."""
    return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])
'''
WRAPPED = '''\
class {name}(nn.{name}):
    """{what}"""

    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        return each_step(super().forward, x)
'''
SAME = "[T, N, C, H, W]"
ROWS = "[T, N, C, L]"
REDUCTION = '''\
class {name}(nn.Module):
    """The {what} over the channels of each group, or over places; the axes stay, as 1."""

    def __init__(self, groups: int | None) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        if self.groups is None:
            return x.{what}({places}, keepdim=True)
        return x.unflatten(2, (self.groups, -1)).{what}(3)
'''
REDUCTIONS = {
    f"{name}{axes}": REDUCTION.format(name=f"{name}{axes}", what=name.lower(), places=places)
    for name in ("Sum", "Mean")
    for axes, places in (("", "(3, 4)"), ("1d", "3"))
}
STEPWISE = '''
    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        return each_step(super().forward, x)
'''
DROPPING = '''\
class {name}(nn.Module):
    """{what}"""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        if not self.training:
            return x
        return x * nn.functional.dropout({mask}, self.p)
'''
LOOPED_DROPPING = (
    ("(nn.Module):", "(Memory):"),
    ("        return x * nn.functional.dropout(", "        ones = "),
    (
        ", self.p)\n",
        """
        mask = self.loop_state[0] if self.loop_state else None
        if mask is None:
            mask = nn.functional.dropout(ones, self.p)
        self.keep_state(mask)
        return x * mask
""",
    ),
)
LOOPED = {
    "Dropout": LOOPED_DROPPING,
    "DropPath": LOOPED_DROPPING,
    "StepScaledBatchNorm": LOOPED_STEP_SCALED_NORM,
}
"""What is another text in a file with loops, by class: one mask lasts for all time-steps."""
LAYER_TEXTS = {
    **REDUCTIONS,
    "LayerNorm": runtime_class("layers", "LayerNorm"),
    "PReLU": '''\
class PReLU(nn.PReLU):
    """max(x, 0) + weight * min(x, 0), with a weight for each channel: [T, N, C, *], unchanged."""

    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        return super().forward(x.flatten(0, 1)).unflatten(0, x.shape[:2])
''',
    "Scale": runtime_class("layers", "Scale"),
    "DropPath": DROPPING.format(
        name="DropPath",
        what="Silences all of a sample in training, at all its time-steps: [T, N, *], unchanged.",
        mask="x.new_ones(x.shape[1], *[1] * (x.ndim - 2))",
    ),
}
"""Classes that are the same in files of SpikingJelly's layers."""
SHARED = runtime_class("sequence_attention", "SharedLayers")
SHARED_BY = ("TemporalAttention", "ChannelAttention")
"""The classes that derive from :data:`SHARED`."""
SEQUENCE_TEXTS = {
    name: runtime_class("sequence_attention", name)
    for name in (*SHARED_BY, "SpatialAttention", "TemporalChannelAttention")
}
TEXTS = {
    **LAYER_TEXTS,
    "ConvTranspose2d": WRAPPED.format(
        name="ConvTranspose2d", what=f"A transposed convolution of each time-step: {SAME} to [T, N, C', H', W']."
    ),
    "ConvTranspose1d": WRAPPED.format(
        name="ConvTranspose1d", what=f"A transposed convolution of each time-step: {ROWS} to [T, N, C', L']."
    ),
    "Upsample": WRAPPED.format(name="Upsample", what="A larger map: [T, N, C, *], each length times the factor."),
    "GroupNorm": WRAPPED.format(name="GroupNorm", what="Group norm of each time-step: [T, N, C, *], unchanged."),
    "Conv2d": WRAPPED.format(name="Conv2d", what=f"A convolution of each time-step: {SAME} to [T, N, C', H', W']."),
    "Conv1d": WRAPPED.format(name="Conv1d", what=f"A convolution of each time-step: {ROWS} to [T, N, C', L']."),
    "BatchNorm2d": WRAPPED.format(name="BatchNorm2d", what=f"Batch norm of {SAME}, over T, N, H and W jointly."),
    "BatchNorm1d": WRAPPED.format(name="BatchNorm1d", what="Batch norm of [T, N, C, *], over all but the channels."),
    **norm_texts(
        "nn",
        "each_step(self._normalise, x)",
        "weight * scale * (x - mean) / sqrt(var + eps) + bias, over all but the channels.",
    ),
    **SEQUENCE_TEXTS,
    **weighted_norm_texts("nn", STEPWISE),
    "MaxPool2d": WRAPPED.format(
        name="MaxPool2d", what=f"The largest value of each window: {SAME} to [T, N, C, H', W']."
    ),
    "AvgPool2d": WRAPPED.format(name="AvgPool2d", what=f"The mean of each window: {SAME} to [T, N, C, H', W']."),
    "MaxPool1d": WRAPPED.format(name="MaxPool1d", what=f"The largest value of each window: {ROWS} to [T, N, C, L']."),
    "AvgPool1d": WRAPPED.format(name="AvgPool1d", what=f"The mean of each window: {ROWS} to [T, N, C, L']."),
    "GlobalAvgPool": '''\
class GlobalAvgPool(nn.Module):
    """The mean of each channel: [T, N, C, H, W] to [T, N, C]."""

    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        return x.mean((-2, -1))
''',
    "GlobalAvgPool1d": '''\
class GlobalAvgPool1d(nn.Module):
    """The mean of each channel: [T, N, C, L] to [T, N, C]."""

    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        return x.mean(-1)
''',
    "VotingPool": '''\
class VotingPool(nn.Module):
    """The mean of voters in a row, [T, N, F] to [T, N, F / voters]."""

    def __init__(self, voters: int) -> None:
        super().__init__()
        self.voters = voters

    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        return x.unflatten(-1, (-1, self.voters)).mean(-1)
''',
    "Linear": runtime_class("layers", "Linear"),
    "Dropout": DROPPING.format(
        name="Dropout", what="Dropout with one mask for all time-steps of a sample.", mask="torch.ones_like(x[0])"
    ),
}
"""The class of each name; those before it that a class needs are written with it."""
STEPPED = frozenset(name for name, text in TEXTS.items() if "each_step(" in text)


def side(pair: tuple[int, int]) -> int | tuple[int, int]:
    """Height and width; one number where they are the same."""
    return pair[0] if pair[0] == pair[1] else pair


def axes(*inputs: Signal) -> str:
    """What the name of a layer of maps ends with in torch: ``2d``, ``1d``."""
    return f"{len(inputs[0].shape) - 1}d"


def conv(op: Conv, *inputs: Signal) -> PyCall:
    """A convolution."""
    padding = Arg("padding", Literal(side(op.pads)), 0)
    return _convolution("Conv", op, inputs, padding, Arg("dilation", Literal(side(op.dilation)), 1))


def transposed_conv(op: TransposedConv, *inputs: Signal) -> PyCall:
    """A transposed convolution."""
    padding, output_padding = (Literal(side(pads)) for pads in op.pads)
    return _convolution(
        "ConvTranspose", op, inputs, Arg("padding", padding, 0), Arg("output_padding", output_padding, 0)
    )


def _convolution(name: str, op: Conv | TransposedConv, inputs: Sequence[Signal], *own: Arg) -> PyCall:
    return PyCall(
        f"{name}{axes(*inputs)}",
        (
            Arg("in_channels", Literal(inputs[0].channels), positional=True, channels="in"),
            Arg("out_channels", Literal(op.channels), positional=True, channels="out"),
            Arg("kernel_size", Literal(side(op.kernel)), positional=True),
            Arg("stride", Literal(side(op.stride)), 1, positional=True),
            *own,
            Arg("groups", Literal(op.groups), 1),
            Arg("bias", Literal(bool(op.bias)), default=True),
        ),
    )


def upsample(op: Upsample, *inputs: Signal) -> PyCall:
    """An upsampling."""
    mode = "linear" if op.mode == "bilinear" and axes(*inputs) == "1d" else op.mode
    return PyCall("Upsample", (Arg("scale_factor", Literal(op.factor)), Arg("mode", Literal(mode), "nearest")))


def layer_norm(op: LayerNorm, *inputs: Signal) -> PyCall:
    """A layer norm."""
    channels = Arg("channels", Literal(inputs[0].channels), positional=True, channels="out")
    return PyCall("LayerNorm", (channels, Arg("eps", Literal(op.eps), 1e-5)))


def group_norm(op: GroupNorm, *inputs: Signal) -> PyCall:
    """A group norm."""
    channels = Arg("num_channels", Literal(inputs[0].channels), positional=True, channels="out")
    return PyCall(
        "GroupNorm",
        (Arg("num_groups", Literal(op.groups), positional=True), channels, Arg("eps", Literal(op.eps), 1e-5)),
    )


def prelu(op: PReLU, *inputs: Signal) -> PyCall:
    """A PReLU; one with a single slope knows no axes."""
    start = Arg("init", Literal(op.slope), 0.25)
    if op.shared:
        return PyCall("nn.PReLU", (start,))
    return PyCall("PReLU", (Arg("channels", Literal(inputs[0].channels), positional=True, channels="out"), start))


def scale(op: Scale, *_: Signal) -> PyCall:
    """A factor."""
    return PyCall("Scale", (Arg("value", Literal(op.value), positional=True), Arg("learn", Literal(op.learn))))


def norm(op: BatchNorm, *inputs: Signal) -> PyCall:
    """A batch norm."""
    shared = (Arg("eps", Literal(op.eps), 1e-5), Arg("momentum", Literal(op.momentum), 0.1))
    channels = Arg("channels", Literal(inputs[0].channels), positional=True, channels="out")
    weight = Arg("weight", Literal(op.weight), 1.0)
    if isinstance(op, TdBatchNorm):
        return PyCall("TdBatchNorm2d", (channels, Arg("scale", Literal(op.scale), 1.0), *shared, weight))
    name = NORMS[axes(*inputs) == "2d"]
    return (
        PyCall(name, (channels, *shared)) if op.weight == 1 else PyCall(f"Weighted{name}", (channels, weight, *shared))
    )


def pool(callee: str, op: MaxPool | AvgPool) -> PyCall:
    """A pooling, of maps or of rows."""
    kernel, stride = side(op.kernel), side(op.stride)
    args = Arg("kernel_size", Literal(kernel), positional=True), Arg("stride", Literal(stride), positional=True)
    return PyCall(callee, (*args, Arg("padding", Literal(side(op.padding)), 0)))


def avg_pool(op: AvgPool, *inputs: Signal) -> PyCall:
    """An average pooling, or a voting layer."""
    if len(inputs[0].shape) == 1:
        return PyCall("VotingPool", (Arg("voters", Literal(op.kernel[0]), positional=True),))
    return pool(f"AvgPool{axes(*inputs)}", op)


def linear(op: Linear, *inputs: Signal) -> PyCall:
    """A linear layer."""
    vector = len(inputs[0].shape) == 1
    return PyCall(
        "nn.Linear" if vector else "Linear",
        (
            Arg("in_features", Literal(inputs[0].elements), positional=True, channels="in" if vector else ""),
            Arg("out_features", Literal(op.features), positional=True, channels="out"),
            Arg("bias", Literal(op.bias), default=True),
        ),
    )


def reduction(op: Sum | Mean, *inputs: Signal) -> PyCall:
    """A sum or a mean over channels or places."""
    groups = op.groups if op.over == "channels" else None
    row = axes(*inputs) == "1d"
    return PyCall(f"{type(op).__name__}{'1d' if row else ''}", (Arg("groups", Literal(groups), positional=True),))


def temporal_attention(op: TemporalAttention, *_: Signal) -> PyCall:
    """An attention to time-steps."""
    return PyCall("TemporalAttention", (_plain("steps", op.T), _plain("r", op.r)))


def channel_attention(op: ChannelAttention, *inputs: Signal) -> PyCall:
    """An attention to channels."""
    return PyCall("ChannelAttention", (_channels(inputs[0]), _plain("r", op.r)))


def joint_attention(op: TemporalChannelAttention, *inputs: Signal) -> PyCall:
    """A joint attention to time-steps and channels."""
    kernels = _plain("kernel_t", op.kernel_t), _plain("kernel_c", op.kernel_c)
    return PyCall("TemporalChannelAttention", (_plain("steps", op.T), _channels(inputs[0]), *kernels))


def step_scaled_norm(op: TemporalEffectiveBatchNorm, *inputs: Signal) -> PyCall:
    """A batch norm with a weight for each time-step."""
    shared = (Arg("eps", Literal(op.eps), 1e-5), Arg("momentum", Literal(op.momentum), 0.1))
    return PyCall("StepScaledBatchNorm", (_channels(inputs[0]), _plain("steps", op.T), *shared))


def _plain(name: str, value: int) -> Arg:
    return Arg(name, Literal(value), positional=True)


def _channels(signal: Signal) -> Arg:
    return Arg("channels", Literal(signal.channels), positional=True, channels="out")


LAYER_CALLS: dict[type[Op], Callable[..., PyCall]] = {
    Conv: conv,
    BatchNorm: norm,
    TdBatchNorm: norm,
    MaxPool: lambda op, *inputs: pool(f"MaxPool{axes(*inputs)}", op),
    AvgPool: avg_pool,
    GlobalAvgPool: lambda _, *inputs: PyCall("GlobalAvgPool1d" if axes(*inputs) == "1d" else "GlobalAvgPool"),
    Linear: linear,
    Flatten: lambda *_: PyCall("nn.Flatten", (Arg("start_dim", Literal(2), positional=True),)),
    Dropout: lambda op, *_: PyCall("Dropout", (Arg("p", Literal(op.p), positional=True),)),
    DropPath: lambda op, *_: PyCall("DropPath", (Arg("p", Literal(op.p), positional=True),)),
    ReLU: lambda *_: PyCall("nn.ReLU"),
    GELU: lambda *_: PyCall("nn.GELU"),
    SiLU: lambda *_: PyCall("nn.SiLU"),
    Logistic: lambda *_: PyCall("nn.Sigmoid"),
    Tanh: lambda *_: PyCall("nn.Tanh"),
    PReLU: prelu,
    TransposedConv: transposed_conv,
    Upsample: upsample,
    LayerNorm: layer_norm,
    GroupNorm: group_norm,
    Scale: scale,
    Sum: reduction,
    Mean: reduction,
    TemporalAttention: temporal_attention,
    ChannelAttention: channel_attention,
    SpatialAttention: lambda op, *_: PyCall("SpatialAttention", (_plain("kernel", op.k),)),
    TemporalChannelAttention: joint_attention,
    TemporalEffectiveBatchNorm: step_scaled_norm,
}
"""The call that makes each layer."""


def layer_call(node: Node, network: Network, unsupported: str) -> PyCall:
    """The call that makes a layer or a delay, by the names of the classes in files of PyTorch.

    Args:
        unsupported: What to say of a layer that is not among :data:`LAYER_CALLS`.

    Raises:
        UnsupportedLayer: it is not.
    """
    if isinstance(node.op, Delay):
        return loops.delay_call(node)
    if type(node.op) not in LAYER_CALLS:
        raise UnsupportedLayer(node, unsupported)
    return LAYER_CALLS[type(node.op)](node.op, *network.inputs(node))


def layer_definitions(texts: Mapping[str, str], used: set[str], reset: Sequence[str], *, looped: bool) -> list[str]:
    """The classes of the layers that a file uses, in the order of the texts; see :func:`loops.definitions`."""
    shared = [SHARED] if used.intersection(SHARED_BY) else []
    layers = []
    for name in filter(used.__contains__, texts):
        text = texts[name]
        for before, after in LOOPED.get(name, ()) if looped else ():
            text = text.replace(before, after)
        layers.append(text)
    return [*shared, *loops.definitions(used, reset, looped=looped), *layers]


class TorchLayers:
    """The layers of a network."""

    def __init__(self, network: Network, taken: set[str]) -> None:
        self._network, self._neurons = network, Neurons(network, taken)
        self._used: set[str] = set()
        self._looped = bool(network.graph.looped)

    def made(self, node: Node) -> PyCall:
        """The call that makes the module of a node.

        Raises:
            UnsupportedLayer: it is of a kind that is not sewdsl's own.
        """
        if isinstance(node.op, Spiking) or node.op.defined_by_text:
            return self._neurons.made(node, *self._network.inputs(node))
        call = layer_call(node, self._network, "is a layer whose formula no file can have")
        self._used.add(call.callee)
        return call

    def definitions(self) -> Sequence[str]:
        """What the calls need that were asked for."""
        helper = [EACH_STEP] if self._used & STEPPED else []
        layers = layer_definitions(TEXTS, self._used, (), looped=self._looped)
        return [*helper, *layers, *self._neurons.definitions()]
