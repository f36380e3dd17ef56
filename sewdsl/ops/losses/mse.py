"""The squared distance of rates from the class, ``MSE``."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, ClassVar

from sewdsl.ir.recipe import Loss

if TYPE_CHECKING:
    from torch import Tensor


class MSE(Loss, kind="MSE"):
    """The mean squared distance between the readout and a vector that is 1 at the class and 0 elsewhere.

    In a file: ``loss MSE``, for networks that end in neurons or in votes of theirs, whose readout is a rate in [0, 1]::

        L = 1 / (N · K) · Σ (O[n, k] - Y[n, k])²

    Source: Fang et al. 2021, Incorporating Learnable Membrane Time Constant; ``F.mse_loss(rate, one_hot)``
    in the recipes of SpikingJelly.
    """

    of_rates: ClassVar[bool] = True
    readouts: ClassVar[tuple[str, ...]] = ("mean", "last")

    def value(self, functional: ModuleType, outputs: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
        """A mean over samples and classes."""
        classes = outputs.shape[-1]
        shares = functional.one_hot(target, classes) if target.ndim == 1 else target
        wanted = shares.to(outputs.dtype) * (1 - smoothing) + smoothing / classes
        loss: Tensor = functional.mse_loss(outputs, wanted)
        return loss

    def judge(self, functional: ModuleType, readout: Tensor, target: Tensor) -> Tensor:
        """The same."""
        return self.value(functional, readout, target)
