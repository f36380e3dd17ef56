"""A network that learns to tell classes apart, as Lightning wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR

from sewdsl.ir.recipe import Recipe
from sewdsl.lower import SpikingNetwork
from sewdsl.train.data.dataset import Samples
from sewdsl.train.temporal import temporal_delete

if TYPE_CHECKING:
    from lightning.pytorch.utilities.types import OptimizerLRScheduler


@dataclass
class Tally:
    """Counts what was right, exactly, and sums the loss.

    Attributes:
        right: Samples whose class was found.
        seen: All samples.
        total_loss: Sum of their losses.
    """

    right: int = 0
    seen: int = 0
    total_loss: float = 0.0

    def add(self, logits: Tensor, y: Tensor, loss: Tensor) -> float:
        """Counts a batch and its mean loss; the share of the batch that was right."""
        right = int((logits.argmax(1) == y).sum())
        self.right += right
        self.seen += len(y)
        self.total_loss += loss.item() * len(y)
        return right / len(y)

    @property
    def loss(self) -> float:
        """Mean over the samples."""
        return self.total_loss / self.seen

    @property
    def accuracy(self) -> float:
        """Share that was right, in [0, 1]."""
        return self.right / self.seen


class Classifier(LightningModule):
    """Trains by the cross-entropy between the readout and the class; judged by the share of right answers.

    Attributes:
        model: The network, ``[N, C, H, W]`` to ``[N, classes]``.
        recipe: How to train it.
        train_tally: Of the epoch's training batches, each counted before the step that it leads to.
        test_tally: Of the last pass over the test samples.
    """

    def __init__(self, model: SpikingNetwork, recipe: Recipe) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe
        self.train_tally, self.test_tally = Tally(), Tally()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer and the schedule of the recipe."""
        recipe, schedule = self.recipe, self.recipe.schedule
        optimizer = recipe.optimizer.build(torch.optim, self.model.parameters())
        if schedule is None:
            return optimizer
        return [optimizer], [LambdaLR(optimizer, lambda epoch: schedule.factor(epoch, recipe.epochs))]

    def on_train_epoch_start(self) -> None:
        """Counts from zero, and logs the learning rate of the epoch."""
        self.train_tally = Tally()
        self.log("learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"])

    def training_step(self, batch: Samples, _index: int) -> Tensor:
        """The loss of a batch, with some time-steps deleted if the recipe says so."""
        x, y = batch
        if self.recipe.T_train is not None:
            settings = self.model.network.settings
            static = x.ndim == len(settings.input) + 1
            x = temporal_delete(x.expand(settings.steps, *x.shape) if static else x, self.recipe.T_train)
        logits = self.model(x)
        loss = cross_entropy(logits, y)
        accuracy = self.train_tally.add(logits, y, loss)
        self.log_dict({"loss": loss, "accuracy": accuracy}, prog_bar=True, logger=False, batch_size=len(y))
        return loss

    def on_train_epoch_end(self) -> None:
        """Logs the epoch."""
        self.log_dict({"train_loss": self.train_tally.loss, "train_accuracy": self.train_tally.accuracy})

    def on_validation_epoch_start(self) -> None:
        """Counts from zero."""
        self.test_tally = Tally()

    def validation_step(self, batch: Samples, _index: int) -> Tensor:
        """Judges a batch, all time-steps shown; its logits."""
        x, y = batch
        logits: Tensor = self.model(x)
        self.test_tally.add(logits, y, cross_entropy(logits, y))
        return logits

    def on_validation_epoch_end(self) -> None:
        """Logs the pass."""
        self.log_dict({"test_loss": self.test_tally.loss, "test_accuracy": self.test_tally.accuracy})
