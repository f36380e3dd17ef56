"""What a run says while it goes on, on the standard error."""

from __future__ import annotations

from time import perf_counter
from typing import Any, cast

import rich
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar

from sewdsl.terminal import is_terminal
from sewdsl.train.classifier import Classifier
from sewdsl.train.watch.firing import DeadLayers


class EpochLines(Callback):
    """One line for each epoch: loss, accuracy on the training and the test samples, seconds."""

    def __init__(self) -> None:
        self._start = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 -- a hook
        """Starts the clock, also in the middle of an epoch."""
        self._start = perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 -- a hook
        """Starts the clock again."""
        self._start = perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prints the line, above the bar if there is one."""
        module = cast("Classifier", pl_module)
        train, test, epochs = module.train_tally, module.test_tally, str(trainer.max_epochs)
        rich.get_console().print(
            f"epoch {trainer.current_epoch + 1:>{len(epochs)}}/{epochs}   loss {train.loss:.4f}   "
            f"accuracy {train.accuracy:7.2%}   {module.judge} {test.accuracy:7.2%}   "
            f"{perf_counter() - self._start:5.1f} s",
            highlight=False,
        )


class Bar(RichProgressBar):
    """Lightning's bar, with epochs counted from 1 as everywhere else, and without the name of a logger's folder."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._start, self._samples, self._speed = 0.0, 0, 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock, also in the middle of an epoch."""
        super().on_train_start(trainer, pl_module)
        self._start = perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock again."""
        super().on_train_epoch_start(trainer, pl_module)
        self._start, self._samples = perf_counter(), 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts the samples."""
        self._samples += len(batch[1]) * trainer.world_size
        self._speed = self._samples / (perf_counter() - self._start)
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Loss and accuracy of the last batch, and the samples a second of the epoch so far."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        if self._speed:
            metrics["samples/s"] = f"{self._speed:.0f}"
        return metrics

    def _get_train_description(self, current_epoch: int) -> str:
        return f"epoch {current_epoch + 1}/{self.trainer.max_epochs}"


def callbacks() -> list[Callback]:
    """A line for each epoch, warnings of layers that hardly fire, and on a terminal a bar with the last batch."""
    rich.reconfigure(stderr=True)
    bar = [Bar(console_kwargs={"stderr": True})] if is_terminal(err=True) else []
    return [*bar, EpochLines(), DeadLayers()]
