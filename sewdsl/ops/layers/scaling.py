"""Layers that multiply values by a factor: ``SCALE``, and by random ones in training, ``DP`` and ``DropPath``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field

from sewdsl.ir.kind import Letter, Switch
from sewdsl.ir.op import Layer, SavedForBackward
from sewdsl.ir.signal import REAL, Signal, counts_up_to

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.snn.runtime import Runtime


class Scale(Layer, kind="SCALE"):
    """Multiplies all values by one number, which may be learned.

    In a network: ``SCALE(value=0.5)``, or at the end of an operand, to weigh it:
    ``ADD[ c32k3-BN-SN-SCALE(learn=on) | id ]``.

    Attributes:
        value: The number, > 0; of one that is learned, where it starts.
        learn: Whether it is learned, one number for the layer.

    Shape: any, unchanged. Without ``learn``, spikes and counts become multiples of the number; with it, real values.
    """

    scales_samples = True

    value: float = Field(default=1.0, gt=0)
    learn: Switch = False

    def infer(self, *inputs: Signal) -> Signal:
        """Multiples of the number, or real values."""
        (source,) = inputs
        if self.learn or source.values.upper is None:
            values = REAL
        else:
            values = counts_up_to(source.values.upper, source.values.unit * self.value, source.values.lower)
        return Signal(source.shape, values, source.varies)

    def parameters(self, *inputs: Signal) -> int:
        """The number, if it is learned."""
        return int(self.learn)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """What it reads, if the number has a gradient."""
        return SavedForBackward((0,) if self.learn else ())

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Scale(self.value, learn=self.learn)


class _Dropped(Layer):
    """Silences values of a sample in training, by one mask for all its time-steps.

    Attributes:
        p: Probability that one is silenced, in [0, 1).
    """

    repeatable = False

    p: Annotated[float, Letter(""), Field(ge=0, lt=1)]

    def infer(self, *inputs: Signal) -> Signal:
        """Real values, unless nothing is dropped; a mask does not vary over time, so neither need the output."""
        return Signal(inputs[0].shape, REAL if self.p else inputs[0].values, inputs[0].varies)

    def in_evaluation(self) -> Self:
        return self.replace(p=0.0)


class Dropout(_Dropped, kind="DP", key="dropout"):
    """Silences a random part in training, the same part at every time-step of a sample.

    In a network: ``DP`` (p = 0.5), ``DP0.25``.

    Attributes:
        p: Probability that an element is silenced, in [0, 1).

    Shape: any, unchanged. What is left is scaled by 1 / (1 - p) in training, so spikes become real values.
    """

    p: Annotated[float, Letter(""), Field(ge=0, lt=1)] = 0.5

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """The mask of each sample, a number for each element."""
        return SavedForBackward(bytes_per_sample=4 * inputs[0].elements)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.Dropout(self.p)


class DropPath(_Dropped, kind="DropPath", key="drop_path"):
    """Silences all of a sample in training, at all its time-steps or at none: a residual branch is left out.

    In a network: at the end of a branch, ``ADD[ SN-c32k3-BN-DropPath(p=0.1) | id ]``, ``DropPath0.1``. Huang et al.
    2016, Sec. 3. One mask for all time-steps of a sample: timm's ``DropPath`` of ``[T, N, *]`` takes the first axis for
    samples, and so drops whole time-steps of the batch.

    Attributes:
        p: Probability that a sample is silenced, in [0, 1).

    Shape: any, unchanged. What is left is scaled by 1 / (1 - p) in training, so spikes become real values.
    """

    scales_samples = True

    p: Annotated[float, Letter(""), Field(ge=0, lt=1)] = 0.1

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """The factor of each sample."""
        return SavedForBackward(bytes_per_sample=4)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.DropPath(self.p)
