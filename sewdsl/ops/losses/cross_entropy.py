"""The cross-entropy of the readout, ``CrossEntropy``."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from sewdsl.ir.recipe import Loss

if TYPE_CHECKING:
    from torch import Tensor


class CrossEntropy(Loss, kind="CrossEntropy"):
    """The cross-entropy between the softmax of the readout O and the class y.

    In a file: ``loss CrossEntropy``, which is what a recipe has unless it says otherwise.
    """

    def value(self, functional: ModuleType, outputs: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
        """A mean over the samples."""
        loss: Tensor = functional.cross_entropy(outputs, target, label_smoothing=smoothing)
        return loss
