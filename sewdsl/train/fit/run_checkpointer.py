"""When a run is saved, and how it stops when it is asked to."""

from __future__ import annotations

import signal
from contextlib import suppress
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch.callbacks import Checkpoint

from sewdsl.terminal import echo
from sewdsl.train.fit.classifier import Classifier
from sewdsl.train.fit.processes import rank
from sewdsl.train.store import measurements
from sewdsl.train.store.run_folder import RunFolder, RunInterrupted

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

BATCH_FIGURES = ("loss", "accuracy")
"""Figures of a batch, which do not belong to an epoch."""


class RunCheckpointer(Checkpoint):
    """Saves the state of the run: after every epoch, within long ones, and before it stops for a signal.

    It stops after a step of the optimizer, or, if it is asked to after the last step of an epoch, when that epoch has
    been judged. A second signal stops it at once: it goes on from what was saved last.

    Args:
        folder: The run's.
        every: Seconds from one save within an epoch to the next; 0: after every step.

    Attributes:
        signal: What it was asked to stop by; 0: nothing.
    """

    def __init__(self, folder: RunFolder, every: float) -> None:
        self._folder, self._every = folder, every
        self._saved = monotonic()
        self.signal = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 -- a hook
        """Listens to signals from here on; Lightning gives them back to who had them when the training ends."""
        self._saved = monotonic()
        with suppress(ValueError):  # only the main thread may listen
            signal.signal(signal.SIGINT, self._ask)
            signal.signal(signal.SIGTERM, self._ask)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002 -- a hook
        outputs: Any,  # noqa: ARG002 -- a hook
        batch: Any,  # noqa: ARG002 -- a hook
        batch_idx: int,
    ) -> None:
        """Saves if it is time to."""
        if trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return  # a checkpoint after the last batch would skip the test; one before the step, the gradients so far
        late = monotonic() - self._saved >= self._every
        if trainer.strategy.reduce_boolean_decision(late or bool(self.signal), all=False):
            self._save(trainer)
            if trainer.strategy.reduce_boolean_decision(bool(self.signal), all=False):
                raise RunInterrupted(self.signal or signal.SIGTERM)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Notes the figures of the epoch; saves, the best epoch apart."""
        module = cast("Classifier", pl_module)
        figures = {name: float(value) for name, value in trainer.callback_metrics.items() if name not in BATCH_FIGURES}
        figures.update(module.figures)
        history = module.history
        best = max((row[module.monitor] for row in history.values()), default=-1.0)
        history[trainer.current_epoch + 1] = figures
        if figures[module.monitor] > best:
            trainer.save_checkpoint(self._folder.best, weights_only=True)
        self._save(trainer)
        if trainer.is_global_zero:
            measurements.write_metrics(history, self._folder.metrics)
        if trainer.strategy.reduce_boolean_decision(bool(self.signal), all=False):
            trainer.should_stop = True

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self._folder.last)
        self._saved = monotonic()

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if self.signal:
            raise RunInterrupted(number)
        self.signal = number
        if rank() == 0:
            echo("\nstopping when this step, or the test after it, is done; once more stops at once", err=True)
