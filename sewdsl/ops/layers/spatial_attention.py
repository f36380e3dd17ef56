"""Attention to places, ``SA``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator

from sewdsl.ir.kind import Positive
from sewdsl.ir.op import KnowsSteps, Layer
from sewdsl.ir.signal import Signal
from sewdsl.ops.windows import map_shape

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


def require_odd(kernel: int) -> int:
    """The kernel itself, if a map keeps its size with as many zeros on each side.

    Raises:
        ValueError: it is even.
    """
    if kernel % 2 == 0:
        message = "must be odd"
        raise ValueError(message)
    return kernel


class SpatialAttention(Layer, KnowsSteps, kind="SA"):
    """Scales each place by what it weighs among all of them (Yao et al., MA-SNN, TPAMI 2023).

    In a network: ``SA(k=3)``::

        Y[h, w] = sigmoid(conv([mean X; max X]))[h, w] · X[h, w]

    Mean and maximum go over time-steps and channels, and give a map a sample each. The convolution of both has no bias.
    It reads all time-steps to give any of them, so that it cannot be streamed.

    Attributes:
        k: Height and width of the kernel, odd.
        steps: T, which the network fills in; only the count of operations needs it.

    Shape: ``[C, H, W]``, unchanged. 2 k² parameters; multiply-accumulates are those of the convolution, which is done
    once for T time-steps, per time-step and rounded up.
    """

    reads: ClassVar[Literal["step", "past", "sequence"]] = "sequence"

    k: Annotated[Positive, AfterValidator(require_odd)] = 3
    steps: Positive | None = None

    def infer(self, *inputs: Signal) -> Signal:
        """Real values, each time-step's times the same factors."""
        map_shape("spatial attention", inputs[0])
        return Signal(inputs[0].shape, varies=inputs[0].varies)

    def parameters(self, *inputs: Signal) -> int:
        """The kernels of the mean and of the maximum."""
        return 2 * self.k**2

    def macs(self, *inputs: Signal) -> int:
        """One per tap and place; of each time-step its share."""
        _, h, w = inputs[0].shape
        return -(-2 * self.k**2 * h * w // self.T)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        """A spatial attention."""
        return runtime.SpatialAttention(self.k)
