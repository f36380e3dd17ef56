"""Sums of two samples, ``Mixup``."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from pydantic import Field

from sewdsl.ir.recipe import BatchTransform


class Mixup(BatchTransform, kind="Mixup"):
    """Mixes each sample of a batch with the one before it, and their classes in the same shares (Zhang et al. 2018).

    In a file: ``augment Mixup(alpha=0.8)``; ``MixUp`` of torchvision. One share λ is drawn for a batch::

        x = λ · x[n] + (1 - λ) · x[n-1]        y = λ · y[n] + (1 - λ) · y[n-1]

    Attributes:
        alpha: Of the distribution Beta(alpha, alpha) that the share is drawn from, > 0: 1 makes all shares as likely.
        p: Share of the batches that are mixed, in [0, 1].
    """

    alpha: float = Field(default=0.8, gt=0)
    p: float = Field(default=1.0, ge=0, le=1)

    def build(self, library: ModuleType, classes: int) -> Any:
        """As a function of a batch and its classes ``[N]``."""
        return library.MixUp(alpha=self.alpha, num_classes=classes)
