"""Optimizers, named after the classes of PyTorch."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from sewdsl.ir.recipe import Optimizer


class _Moments(Optimizer):
    """Optimizer with two moments of each gradient."""

    lr: float = Field(default=0.001, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    """Weight decay, >= 0."""

    @property
    def states(self) -> int:
        return 2


class Adam(_Moments, kind="Adam"):
    """Optimizer with an adaptive step size for each weight (Kingma and Ba 2015).

    In a file: ``optimizer Adam(lr=0.001)``::

        m = 0.9 · m + 0.1 · (gradient + weight_decay · w)
        q = 0.999 · q + 0.001 · (gradient + weight_decay · w)²
        w = w - lr · m̂ / (√q̂ + 1e-8)        m̂, q̂: bias-corrected m and q
    """


class AdamW(_Moments, kind="AdamW"):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    In a file: ``optimizer AdamW(lr=0.001, weight_decay=0.01)``: the step of Adam without weight decay, and::

        w = w - lr · weight_decay · w
    """

    weight_decay: float = Field(default=0.01, ge=0)


class NAdam(_Moments, kind="NAdam"):
    """Adam with Nesterov momentum (Dozat 2016).

    In a file: ``optimizer NAdam(lr=0.002)``: the step of Adam, with m̂ computed from the next momentum and the
    gradient, and a momentum that increases::

        μ[k] = 0.9 · (1 - 0.5 · 0.96 ^ (k · momentum_decay))        in step k
    """

    lr: float = Field(default=0.002, gt=0)
    momentum_decay: float = Field(default=0.004, ge=0)
    """Rate at which the momentum increases, >= 0."""
    decoupled_weight_decay: bool = False
    """Decoupled weight decay, as in AdamW."""


class RAdam(_Moments, kind="RAdam"):
    """Adam that uses only the momentum until the variance of the second moment is low (Liu et al. 2020).

    In a file: ``optimizer RAdam(lr=0.001)``. The first steps have the effect of a warm-up.
    """

    decoupled_weight_decay: bool = False
    """Decoupled weight decay, as in AdamW."""


class RMSprop(Optimizer, kind="RMSprop"):
    """Optimizer that divides the gradient by a running root mean square (Tieleman and Hinton 2012).

    In a file: ``optimizer RMSprop(lr=0.01, momentum=0.9)``. With g = gradient + weight_decay · w::

        q = alpha · q + (1 - alpha) · g²
        b = momentum · b + g / (√q + eps)
        w = w - lr · b
    """

    lr: float = Field(default=0.01, gt=0)
    alpha: float = Field(default=0.99, ge=0, lt=1)
    """Decay of the mean square, in [0, 1)."""
    eps: float = Field(default=1e-8, gt=0)
    """Constant added to the denominator, > 0."""
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Momentum, in [0, 1)."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Weight decay, >= 0."""
    centered: bool = False
    """Subtract the squared mean of the gradient, so that q is the variance."""

    @property
    def states(self) -> int:
        """Mean square, and with the options momentum and mean."""
        return 1 + bool(self.momentum) + self.centered


class SGD(Optimizer, kind="SGD"):
    """Stochastic gradient descent, optionally with momentum (Tables 7 and 8).

    In a file: ``optimizer SGD(lr=0.1, momentum=0.9)``::

        b = momentum · b + gradient + weight_decay · w
        w = w - lr · b
    """

    lr: float = Field(gt=0)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    """Momentum, in [0, 1)."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Weight decay, >= 0."""
    nesterov: bool = False
    """Nesterov momentum, which requires a momentum above 0."""

    @property
    def states(self) -> int:
        return 1 if self.momentum else 0

    @model_validator(mode="after")
    def _momentum_for_nesterov(self) -> Self:
        # PyTorch raises an error only when training starts.
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov requires a momentum above 0")
        return self
