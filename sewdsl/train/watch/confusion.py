"""Which classes are taken for which."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from sewdsl.train.data.dataset import Samples


class Confusion(Callback):
    """Counts the samples of a pass by their class and by the class that the network finds."""

    def __init__(self) -> None:
        self._counts: Tensor | None = None

    @property
    def counts(self) -> list[list[int]]:
        """Row i, column j has how many samples of class i are taken for class j; empty before the first batch."""
        counts: list[list[int]] = [] if self._counts is None else self._counts.tolist()
        return counts

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 -- a hook
        """Counts from zero."""
        self._counts = None

    def on_validation_batch_end(  # noqa: PLR0913 -- a hook
        self,
        trainer: Trainer,  # noqa: ARG002 -- a hook
        pl_module: LightningModule,  # noqa: ARG002 -- a hook
        outputs: Any,
        batch: Samples,
        batch_idx: int,  # noqa: ARG002 -- a hook
        dataloader_idx: int = 0,  # noqa: ARG002 -- a hook
    ) -> None:
        """Counts a batch; ``outputs`` are the logits ``[N, classes]`` that the validation step returns."""
        counts = confusion(outputs, batch[1])
        self._counts = counts if self._counts is None else self._counts + counts


def confusion(logits: Tensor, y: Tensor) -> Tensor:
    """The counts of a batch: logits ``[N, classes]`` and classes ``[N]`` to ``[classes, classes]``."""
    classes = logits.shape[1]
    return torch.bincount(y * classes + logits.argmax(1), minlength=classes**2).reshape(classes, classes)
