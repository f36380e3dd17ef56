"""What a run says while it goes on, on the standard error."""

from __future__ import annotations

from time import perf_counter
from typing import cast

import rich
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from rich.console import Console

from sewdsl.train.classifier import Classifier


class EpochLines(Callback):
    """One line for each epoch: loss, accuracy on the training and the test samples, seconds."""

    def __init__(self) -> None:
        self._start = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 -- a hook
        """Starts the clock."""
        self._start = perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints the line, above the bar if there is one."""
        module = cast("Classifier", pl_module)
        train, test, epochs = module.train_tally, module.test_tally, str(trainer.max_epochs)
        rich.get_console().print(
            f"epoch {trainer.current_epoch + 1:>{len(epochs)}}/{epochs}   loss {train.loss:.4f}   "
            f"accuracy {train.accuracy:7.2%}   test {test.accuracy:7.2%}   {perf_counter() - self._start:5.1f} s",
            highlight=False,
        )


class Bar(RichProgressBar):
    """Lightning's bar, with epochs counted from 1 as everywhere else, and without the name of a logger's folder."""

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Loss and accuracy of the last batch."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics

    def _get_train_description(self, current_epoch: int) -> str:
        return f"epoch {current_epoch + 1}/{self.trainer.max_epochs}"


def callbacks() -> list[Callback]:
    """A line for each epoch, and on a terminal a bar with the loss and accuracy of the last batch."""
    rich.reconfigure(stderr=True)
    bar = [Bar(console_kwargs={"stderr": True})] if Console(stderr=True).is_terminal else []
    return [*bar, EpochLines()]
