"""Checkpoints: when a run is saved, and files that are written atomically, checked, and read."""

from __future__ import annotations

import signal
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Any, cast
from zipfile import ZipFile

import safetensors.torch
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins import TorchCheckpointIO

from sewdsl.terminal import echo
from sewdsl.train.fit.classifier import Classifier
from sewdsl.train.fit.own_callbacks import require_plain_state
from sewdsl.train.fit.processes import rank
from sewdsl.train.store import measurements
from sewdsl.train.store.run_folder import RunError, RunFolder, RunInterrupted, write_run_file

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer


PREFIX = "model."
"""Of the network's weights inside a checkpoint; in a ``.safetensors`` file they have the network's own names."""

TO_GO_ON = ("callbacks", "optimizer_states", "lr_schedulers", "current_model_state", "averaging_state")
"""What a run goes on with, and the weights of its best epoch do without."""

BATCH_FIGURES = ("loss", "accuracy")
"""Figures of a batch, which do not belong to an epoch."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint, every byte of it checked; nothing in it is run.

    Raises:
        RunError: there is no checkpoint, or it is damaged.
    """
    found: Any = None
    try:
        with ZipFile(path) as archive:  # torch.load does not look at the checksums
            if archive.testzip() is None:
                found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        message = f"the checkpoint '{path}' is missing"
        raise RunError(message) from None
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001, S110 -- a damaged pickle can end in any of them
        pass
    weights = found.get("state_dict") if isinstance(found, dict) else None
    if isinstance(weights, dict) and all(isinstance(value, torch.Tensor) for value in weights.values()):
        return dict(found)
    message = f"the checkpoint '{path}' is damaged"
    raise RunError(message)


def load_checkpoint_weights(module: Classifier, checkpoint: dict[str, Any], path: Path) -> None:
    """Puts the weights of a checkpoint into a network of the same layers.

    Args:
        module: The network.
        checkpoint: What :func:`read_checkpoint` found.
        path: Where it came from, for the message.

    Raises:
        RunError: it is a checkpoint of another network.
    """
    try:
        module.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        message = f"the checkpoint '{path}' is one of another network: {str(error).splitlines()[-1].strip()}"
        raise RunError(message) from None


def same_weights(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two checkpoints of one network hold the same weights."""
    ours, theirs = one["state_dict"], other["state_dict"]
    return all(ours[name].dtype == theirs[name].dtype and torch.equal(ours[name], theirs[name]) for name in ours)


def load_weights(module: Classifier, path: Path) -> None:
    """Puts the weights of a checkpoint's file into a network of the same layers.

    Raises:
        RunError: there is no checkpoint, it is damaged, or it is one of another network.
    """
    load_checkpoint_weights(module, read_checkpoint(path), path)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint as a whole or not at all, and its weights next to it as ``.safetensors``.

    Args:
        folder: The run's; before its last checkpoint is replaced, it becomes the one before the last.
    """

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self._folder = folder

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:  # noqa: ARG002 -- Lightning's signature
        """Writes both files.

        Raises:
            RunError: the disk is full, or the like, or a callback's state could not be read back; what was there before
                stays.
        """
        path = Path(path)
        require_plain_state(checkpoint.get("callbacks") or {})
        if path == self._folder.best:
            checkpoint = {name: value for name, value in checkpoint.items() if name not in TO_GO_ON}
        buffer = BytesIO()
        torch.save(checkpoint, buffer)
        write_run_file(path, buffer.getvalue(), keep_as=self._folder.previous if path == self._folder.last else None)
        tensors = {
            name.removeprefix(PREFIX): value.contiguous()
            for name, value in checkpoint["state_dict"].items()
            if name.startswith(PREFIX)
        }
        write_run_file(path.with_suffix(".safetensors"), safetensors.torch.save(tensors, {"format": "pt"}))

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any = None,  # noqa: ARG002 -- Lightning moves what it needs
        weights_only: bool | None = None,  # noqa: ARG002, FBT001 -- always
    ) -> dict[str, Any]:
        """Reads a checkpoint.

        Raises:
            RunError: there is none, or it is damaged.
        """
        return read_checkpoint(Path(path))


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
            # what is averaged takes the place of the weights only in a whole checkpoint
            trainer.save_checkpoint(self._folder.best, weights_only=module.recipe.ema is None)
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
