"""Training losses."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from sewdsl.ir.kind import OmittedDefault
from sewdsl.ir.recipe import Loss

if TYPE_CHECKING:
    from torch import Tensor


class CrossEntropy(Loss, kind="CrossEntropy"):
    """Cross-entropy between the softmax of the readout O and the class y.

    In a file: ``loss CrossEntropy``, the default. With ``loss CrossEntropy(to=next)``, the class of the output of each
    time-step is the token of the next time-step, as in language models. The last output has no target. The loss is the
    mean over tokens, and its exponential is the perplexity.
    """

    to: Annotated[Literal["next"] | None, OmittedDefault()] = None
    """``next`` for the tokens of an input such as ``input 1 of 30522``. None is the class."""

    @property
    def classifies(self) -> bool:
        return True

    def value(self, functional: ModuleType, outputs: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
        loss: Tensor = functional.cross_entropy(outputs, target, label_smoothing=smoothing)
        return loss


class MSE(Loss, kind="MSE"):
    """Mean squared error between the readout and a one-hot vector of the class, or another target.

    In a file: ``loss MSE``, for networks that end in neurons or in a voting layer, whose readout is a firing rate in
    [0, 1]::

        L = 1 / (N · K) · Σ (O[n, k] - Y[n, k])²

    With ``loss MSE(to=input)``, the target is the input of the network, as in autoencoders: at each time-step, or the
    static input. With ``MSE(to=next)``, the target is the input one time-step later, and the last output has none.
    ``MSE(to=NAME)`` compares with another output, and ``MSE(to=teacher)`` with a trained network.

    Source: Fang et al. 2021, Incorporating Learnable Membrane Time Constant, and ``F.mse_loss(rate, one_hot)`` in the
    recipes of SpikingJelly.
    """

    of_rates = True
    readouts = ("mean", "last")

    to: Annotated[str | None, OmittedDefault()] = None
    """Target: ``input``, ``next``, ``teacher``, ``teacher.NAME`` or the name of another output. None is the class."""

    def value(self, functional: ModuleType, outputs: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
        if self.to is not None:
            plain: Tensor = functional.mse_loss(outputs, target)
            return plain
        classes = outputs.shape[-1]
        # Transforms of batches return probabilities instead of classes.
        probabilities = functional.one_hot(target, classes) if target.ndim == 1 else target
        smoothed = probabilities.to(outputs.dtype) * (1 - smoothing) + smoothing / classes
        loss: Tensor = functional.mse_loss(outputs, smoothed)
        return loss

    def judge(self, functional: ModuleType, readout: Tensor, target: Tensor) -> Tensor:
        return self.value(functional, readout, target)


class KL(Loss, kind="KL"):
    """Kullback-Leibler divergence from the softmax of a target to that of the readout.

    In a file: ``loss KL(to=teacher, temperature=4.0)`` for distillation, or with the name of another output, which is
    not trained by this loss::

        L = temperature² / N · Σ_n KL(softmax(Z[n] / temperature), softmax(O[n] / temperature))

    Source: Hinton et al. 2015, Distilling the Knowledge in a Neural Network.
    """

    to: str
    """Target Z: ``teacher``, ``teacher.NAME`` or the name of another output."""
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Divisor of the outputs before the softmax, > 0."""

    def value(self, functional: ModuleType, outputs: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
        logarithms = (functional.log_softmax(each / self.temperature, 1) for each in (outputs, target))
        divergence: Tensor = functional.kl_div(*logarithms, reduction="batchmean", log_target=True)
        return self.temperature**2 * divergence


class TET(Loss, kind="TET"):
    """Mean cross-entropy of the output of each time-step, with an optional regulariser of the outputs.

    In a file: ``loss TET`` or ``loss TET(weight=0.05, phi=1.0)``::

        L = (1 - weight) · 1/T · Σ CE(O[t], y) + weight · 1/T · Σ MSE(O[t], phi)

    Source: Deng et al. 2022, Temporal Efficient Training, equation 9, and its regulariser, where weight is λ.
    """

    each_step = True
    readouts = ("mean",)

    weight: float = Field(default=0.0, ge=0, le=1)
    """Weight of the regulariser, in [0, 1]. 0 disables it."""
    phi: float = 1.0
    """Target of the regulariser for all outputs."""

    def value(self, functional: ModuleType, outputs: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
        """Return the mean over time-steps and samples of ``outputs`` ``[T, N, classes]``."""
        # Time-steps are treated as additional samples.
        repeated = target.repeat(len(outputs), *([1] * (target.ndim - 1)))
        loss: Tensor = functional.cross_entropy(outputs.flatten(0, 1), repeated, label_smoothing=smoothing)
        if not self.weight:
            return loss
        regulariser: Tensor = functional.mse_loss(outputs, outputs.new_full(outputs.shape, self.phi))
        return (1 - self.weight) * loss + self.weight * regulariser
