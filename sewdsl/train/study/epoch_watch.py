"""Tells of each epoch that a run has ended, and ends it early where it is asked to."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from lightning.pytorch.callbacks import Checkpoint

from sewdsl.train.fit.classifier import Classifier
from sewdsl.train.store.run_folder import RunPruned
from sewdsl.train.study.pool import Watch

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer


class EpochWatch(Checkpoint):
    """Tells the accuracies that judge a run when an epoch has been saved, and before a run goes on.

    It is a checkpoint to Lightning, which calls these last, in the order in which they are given: the epoch is saved.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tells of the epochs before, if there were any."""
        if cast("Classifier", pl_module).history:
            self._tell(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tells of the epoch too."""
        self._tell(trainer, pl_module)

    def _tell(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module = cast("Classifier", pl_module)
        epochs = {epoch: figures[module.monitor] for epoch, figures in sorted(module.history.items())}
        last = max(epochs)
        if not self._watch(epochs) and last < (trainer.max_epochs or last):
            message = f"ended early, after epoch {last} of {trainer.max_epochs}"
            raise RunPruned(message)
