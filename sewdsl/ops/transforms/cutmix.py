"""Parts of another sample, ``CutMix``."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from pydantic import Field

from sewdsl.ir.recipe import BatchTransform


class CutMix(BatchTransform, kind="CutMix"):
    """Puts a rectangle of another sample into each sample of a batch, and mixes classes by area (Yun et al. 2019).

    In a file: ``augment CutMix(alpha=1.0)``; ``CutMix`` of torchvision. The other is the one before it in the batch.
    One rectangle is drawn for a batch, and is at one place in all time-steps.

    Attributes:
        alpha: Of the distribution Beta(alpha, alpha) that the share is drawn from, > 0: 1 makes all shares as likely.
        p: Share of the batches that are mixed, in [0, 1].
    """

    alpha: float = Field(default=1.0, gt=0)
    p: float = Field(default=1.0, ge=0, le=1)

    def build(self, library: ModuleType, classes: int) -> Any:
        """As a function of a batch and its classes ``[N]``."""
        return library.CutMix(alpha=self.alpha, num_classes=classes)
