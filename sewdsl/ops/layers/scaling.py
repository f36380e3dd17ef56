"""Scaling by a factor, ``SCALE``, and by random factors in training, ``DP`` and ``DropPath``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from sewdsl.ir.kind import Letter, OmittedDefault, Switch
from sewdsl.ir.op import Layer, SavedForBackward
from sewdsl.ir.signal import REAL, Signal, counts_up_to

if TYPE_CHECKING:
    from torch import nn

    from sewdsl.ir.integer_law import Law, Operand
    from sewdsl.snn.runtime import Runtime


class Scale(Layer, kind="SCALE"):
    """Multiplication by a scalar, which may be learnable.

    In a network: ``SCALE(value=0.5)``, or at the end of an operand, to weight it:
    ``ADD[ c32k3-BN-SN-SCALE(learn=on) | id ]``. Layer scale (Touvron et al. 2021) is
    ``SCALE(value=1e-6, learn=on, per=channel)``.

    Shape: any, unchanged. Without ``learn``, spikes and counts become multiples of the factor. With ``learn``, they
    become real values.
    """

    weights_for = "nothing"
    scales_samples = True

    value: float = 1.0
    """Factor. The initial value if it is learnable, otherwise not 0."""
    learn: Switch = False
    """Whether the factor is learnable, one per layer."""
    per: Annotated[Literal["channel"] | None, OmittedDefault()] = None
    """``channel``: one learnable factor per channel. None: one per layer."""

    @model_validator(mode="after")
    def _check_factor(self) -> Self:
        if not self.value and not self.learn:
            raise ValueError("'value' must not be 0 without learn=on")
        if self.per is not None and not self.learn:
            raise ValueError(f"per={self.per} requires learn=on")
        return self

    def infer(self, *inputs: Signal) -> Signal:
        """Return a range of multiples of the factor, or real if the factor is learnable."""
        (source,) = inputs
        # A learned factor changes during training, so multiples of it have no fixed range.
        if self.learn or source.values.upper is None:
            values = REAL
        else:
            # A negative factor exchanges the bounds, because the unit is positive.
            ends = source.values.upper, source.values.lower
            upper, lower = ends if self.value > 0 else (-ends[1], -ends[0])
            values = counts_up_to(upper, source.values.unit * abs(self.value), lower)
        return Signal(source.shape, values, source.varies)

    def parameters(self, *inputs: Signal) -> int:
        return inputs[0].channels if self.per else int(self.learn)

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Return the input if the factor is learnable, otherwise nothing."""
        return SavedForBackward((0,) if self.learn else ())

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        (x,) = inputs
        learned = law.layer.learned.get("weight")
        return law.scale(x, self.value if learned is None else learned.numpy())

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        if self.per:
            return runtime.ChannelScale(inputs[0].channels, self.value)
        return runtime.Scale(self.value, learn=self.learn)


class _Dropped(Layer):
    """Base class of dropout with one mask for all time-steps of a sample."""

    repeatable = False

    p: Annotated[float, Letter(""), Field(ge=0, lt=1)]
    """Drop probability, in [0, 1)."""

    def infer(self, *inputs: Signal) -> Signal:
        """Return a signal of real values, unless p is 0."""
        # The mask is constant over time, so a static input stays static.
        return Signal(inputs[0].shape, REAL if self.p else inputs[0].values, inputs[0].varies)

    def in_evaluation(self) -> Self:
        return self.replace(p=0.0)

    def integers(self, law: Law, *inputs: Operand) -> Operand:
        # Evaluation drops nothing.
        return inputs[0]


class Dropout(_Dropped, kind="DP", key="dropout"):
    """Dropout with one mask for all time-steps of a sample, or a mask for each time-step.

    In a network: ``DP`` (p = 0.5), ``DP0.25``, ``DP(p=0.1, per=step)``. PyTorch's ``nn.Dropout`` on ``[T, N, *]`` has a
    mask for each time-step.

    Shape: any, unchanged. In training, the remaining values are scaled by 1 / (1 - p), so spikes become real values.
    """

    p: Annotated[float, Letter(""), Field(ge=0, lt=1)] = 0.5
    """Drop probability of an element, in [0, 1)."""
    per: Annotated[Literal["sequence", "step"], OmittedDefault()] = "sequence"
    """``sequence``: one mask for all time-steps of a sample. ``step``: a mask for each time-step."""

    def infer(self, *inputs: Signal) -> Signal:
        """Return a signal of real values, unless p is 0. Masks of each time-step make it depend on time."""
        signal = super().infer(*inputs)
        return replace(signal, varies=signal.varies or (self.per == "step" and self.p > 0))

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Return the masks, with four bytes per element."""
        size = 4 * inputs[0].elements
        # One mask per sample is independent of the number of time-steps.
        return SavedForBackward(bytes_per_step=size) if self.per == "step" else SavedForBackward(bytes_per_sample=size)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.StepDropout(self.p) if self.per == "step" else runtime.Dropout(self.p)


class DropPath(_Dropped, kind="DropPath", key="drop_path"):
    """Stochastic depth: drops whole samples of a residual branch in training, at all time-steps.

    In a network: at the end of a branch, ``ADD[ SN-c32k3-BN-DropPath(p=0.1) | id ]``, ``DropPath0.1``. Huang et al.
    2016, Sec. 3. There is one mask for all time-steps of a sample. timm's ``DropPath`` on ``[T, N, *]`` treats the
    first axis as samples, and therefore drops whole time-steps of the batch.

    Shape: any, unchanged. In training, the remaining values are scaled by 1 / (1 - p), so spikes become real values.
    """

    scales_samples = True

    p: Annotated[float, Letter(""), Field(ge=0, lt=1)] = 0.1
    """Drop probability of a sample, in [0, 1)."""

    def keeps(self, *inputs: Signal) -> SavedForBackward:
        """Return the factor of each sample."""
        return SavedForBackward(bytes_per_sample=4)

    def build(self, runtime: type[Runtime], *inputs: Signal) -> nn.Module:
        return runtime.DropPath(self.p)
