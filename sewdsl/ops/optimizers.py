"""Optimizers, each torch's of the same name."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from sewdsl.ir.recipe import Optimizer


class _Moments(Optimizer):
    """One that keeps two moments of each gradient.

    Attributes:
        weight_decay: Pull of every weight towards zero, >= 0.
    """

    lr: float = Field(default=0.001, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)

    @property
    def states(self) -> int:
        return 2


class Adam(_Moments, kind="Adam"):
    """Steps of a size of their own for every weight (Kingma and Ba 2015).

    In a file: ``optimizer Adam(lr=0.001)``::

        m = 0.9 · m + 0.1 · (gradient + weight_decay · w)
        q = 0.999 · q + 0.001 · (gradient + weight_decay · w)²
        w = w - lr · m̂ / (√q̂ + 1e-8)        m̂, q̂: m and q without their start from zero
    """


class AdamW(_Moments, kind="AdamW"):
    """Adam whose weight decay does not pass through the moments (Loshchilov and Hutter 2019).

    In a file: ``optimizer AdamW(lr=0.001, weight_decay=0.01)``: the step of Adam without decay, and then::

        w = w - lr · weight_decay · w
    """

    weight_decay: float = Field(default=0.01, ge=0)


class NAdam(_Moments, kind="NAdam"):
    """Adam that looks ahead along its momentum (Dozat 2016).

    In a file: ``optimizer NAdam(lr=0.002)``: the step of Adam, with m̂ made of the momentum after next and the gradient,
    and a momentum that begins low::

        μ[k] = 0.9 · (1 - 0.5 · 0.96 ^ (k · momentum_decay))        of step k

    Attributes:
        momentum_decay: How fast the momentum comes up, >= 0.
        decoupled_weight_decay: Whether the decay passes the moments by, as in AdamW.
    """

    lr: float = Field(default=0.002, gt=0)
    momentum_decay: float = Field(default=0.004, ge=0)
    decoupled_weight_decay: bool = False


class RAdam(_Moments, kind="RAdam"):
    """Adam that takes steps of momentum alone until its second moment is worth dividing by (Liu et al. 2020).

    In a file: ``optimizer RAdam(lr=0.001)``. It does in the first steps what a warmup does.

    Attributes:
        decoupled_weight_decay: Whether the decay passes the moments by, as in AdamW.
    """

    decoupled_weight_decay: bool = False


class RMSprop(Optimizer, kind="RMSprop"):
    """Divides each weight's gradient by how large it has been of late (Tieleman and Hinton 2012).

    In a file: ``optimizer RMSprop(lr=0.01, momentum=0.9)``; with g = gradient + weight_decay · w::

        q = alpha · q + (1 - alpha) · g²
        b = momentum · b + g / (√q + eps)
        w = w - lr · b

    Attributes:
        alpha: What is kept of the mean of squares, in [0, 1).
        eps: Added to what is divided by, > 0.
        momentum: What is kept of the last step, in [0, 1).
        weight_decay: Pull of every weight towards zero, >= 0.
        centered: Whether the gradient's mean is taken off its square first, which makes q its variance.
    """

    lr: float = Field(default=0.01, gt=0)
    alpha: float = Field(default=0.99, ge=0, lt=1)
    eps: float = Field(default=1e-8, gt=0)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    centered: bool = False

    @property
    def states(self) -> int:
        """The mean of squares; the last step and the mean, where they are asked for."""
        return 1 + bool(self.momentum) + self.centered


class SGD(Optimizer, kind="SGD"):
    """Steps down the gradient, with a momentum if asked for (Tables 7 and 8).

    In a file: ``optimizer SGD(lr=0.1, momentum=0.9)``::

        b = momentum · b + gradient + weight_decay · w
        w = w - lr · b

    Attributes:
        momentum: What is kept of the last step, in [0, 1).
        weight_decay: Pull of every weight towards zero, >= 0.
        nesterov: Whether the gradient is taken where the momentum leads; needs a momentum.
    """

    lr: float = Field(gt=0)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    nesterov: bool = False

    @property
    def states(self) -> int:
        """The last step, if there is a momentum."""
        return 1 if self.momentum else 0

    @model_validator(mode="after")
    def _momentum_for_nesterov(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        return self
