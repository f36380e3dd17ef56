"""Layers that read more than one time-step, in PyTorch; what they need of each time-step is plain there."""

from __future__ import annotations

from collections.abc import Callable

from sewdsl.exchange.write.source.expressions import Arg, Literal, PyCall
from sewdsl.ir.op import Op
from sewdsl.ir.signal import Signal
from sewdsl.ops.layers.channel_attention import ChannelAttention
from sewdsl.ops.layers.spatial_attention import SpatialAttention
from sewdsl.ops.layers.temporal_attention import TemporalAttention
from sewdsl.ops.layers.temporal_channel_attention import TemporalChannelAttention
from sewdsl.ops.layers.temporal_effective_batch_norm import TemporalEffectiveBatchNorm

SHARED = '''\
class SharedLayers(nn.Module):
    """Two layers that a mean and a maximum share: factors between 0 and 1."""

    def __init__(self, count: int, r: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(count, count // r, bias=False)
        self.expand = nn.Linear(count // r, count, bias=False)

    def factors(self, x: Tensor) -> Tensor:
        """Of the values of each of count, [N, count, *] to [N, count]."""
        pooled = x.flatten(2).mean(2), x.flatten(2).max(2).values
        mean, most = (self.expand(self.reduce(each).relu()) for each in pooled)
        return (mean + most).sigmoid()
'''
SHARED_BY = ("TemporalAttention", "ChannelAttention")
"""The classes that are made of :data:`SHARED`."""
SEQUENCE_TEXTS = {
    "TemporalAttention": '''\
class TemporalAttention(SharedLayers):
    """Scales each time-step of [T, N, *]."""

    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        factors = self.factors(x.transpose(0, 1)).t()
        return x * factors.reshape(*factors.shape, *[1] * (x.ndim - 2))
''',
    "ChannelAttention": '''\
class ChannelAttention(SharedLayers):
    """Scales each channel of [T, N, C, *]."""

    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        factors = self.factors(x.movedim(0, 2))
        return x * factors.reshape(*factors.shape, *[1] * (x.ndim - 3))
''',
    "SpatialAttention": '''\
class SpatialAttention(nn.Module):
    """Scales each place of [T, N, C, H, W]."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        maps = x.transpose(0, 1).flatten(1, 2)
        pooled = torch.stack((maps.mean(1), maps.max(1).values), 1)
        return x * self.conv(pooled).sigmoid()
''',
    "TemporalChannelAttention": '''\
class TemporalChannelAttention(nn.Module):
    """Scales each time-step of each channel of [T, N, C, *]."""

    def __init__(self, steps: int, channels: int, kernel_t: int, kernel_c: int) -> None:
        super().__init__()
        self.temporal = nn.Conv1d(steps, steps, kernel_t, bias=False)
        self.channel = nn.Conv1d(channels, channels, kernel_c, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        places = tuple(range(3, x.ndim))
        mean = x.mean(places).transpose(0, 1)
        temporal = self._along(self.temporal, mean)
        product = temporal * self._along(self.channel, mean.mT).mT
        factors = product.sigmoid().transpose(0, 1)
        return x * factors.reshape(*factors.shape, *[1] * len(places))

    @staticmethod
    def _along(conv: nn.Conv1d, x: Tensor) -> Tensor:
        more = conv.kernel_size[0] - 1
        return conv(nn.functional.pad(x, (more // 2, more - more // 2)))
''',
}
"""The class of each name."""


def step_scaled_norm(base: str, each: str) -> str:
    """The text of the class of TEBN.

    Args:
        base: The batch norm that it is made of.
        each: The call that normalises all time-steps as one batch.
    """
    return f'''\
class StepScaledBatchNorm({base}):
    """Batch norm with a weight for each time-step (TEBN, Duan et al. 2022)."""

    def __init__(
        self,
        channels: int,
        steps: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
    ) -> None:
        super().__init__(channels, eps, momentum)
        self.step_weight = nn.Parameter(torch.ones(steps))

    def forward(self, x: Tensor) -> Tensor:
        """All time-steps."""
        y = {each}
        return y * self.step_weight.reshape(-1, *[1] * (x.ndim - 1))

    def _normalise(self, x: Tensor) -> Tensor:
        if self.training:
            self.num_batches_tracked.add_(1)
        return nn.functional.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )
'''


LOOPED_NORM = (
    "        return y * self.step_weight.reshape(-1, *[1] * (x.ndim - 1))\n",
    """\
        weight = self.step_weight[self.loop_time :][: len(x)]
        self.keep_state()
        return y * weight.reshape(-1, *[1] * (x.ndim - 1))
""",
)
"""What is another text in a file with loops: a time-step has its own weight."""


def temporal(op: TemporalAttention, *_: Signal) -> PyCall:
    """An attention to time-steps."""
    return PyCall("TemporalAttention", (_plain("steps", op.T), _plain("r", op.r)))


def channel(op: ChannelAttention, *inputs: Signal) -> PyCall:
    """An attention to channels."""
    return PyCall("ChannelAttention", (_channels(inputs[0]), _plain("r", op.r)))


def joint(op: TemporalChannelAttention, *inputs: Signal) -> PyCall:
    """A joint attention to time-steps and channels."""
    kernels = _plain("kernel_t", op.kernel_t), _plain("kernel_c", op.kernel_c)
    return PyCall("TemporalChannelAttention", (_plain("steps", op.T), _channels(inputs[0]), *kernels))


def norm(op: TemporalEffectiveBatchNorm, *inputs: Signal) -> PyCall:
    """A batch norm with a weight for each time-step."""
    shared = (Arg("eps", Literal(op.eps), 1e-5), Arg("momentum", Literal(op.momentum), 0.1))
    return PyCall("StepScaledBatchNorm", (_channels(inputs[0]), _plain("steps", op.T), *shared))


def _plain(name: str, value: int) -> Arg:
    return Arg(name, Literal(value), positional=True)


def _channels(signal: Signal) -> Arg:
    return Arg("channels", Literal(signal.channels), positional=True, channels="out")


SEQUENCE_CALLS: dict[type[Op], Callable[..., PyCall]] = {
    TemporalAttention: temporal,
    ChannelAttention: channel,
    SpatialAttention: lambda op, *_: PyCall("SpatialAttention", (_plain("kernel", op.k),)),
    TemporalChannelAttention: joint,
    TemporalEffectiveBatchNorm: norm,
}
"""The call that makes each layer."""
