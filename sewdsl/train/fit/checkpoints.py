"""Checkpoints: writing, reading and verifying them, and the callback that saves a run."""

from __future__ import annotations

import signal
import warnings
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Any, cast
from zipfile import ZipFile

import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins import TorchCheckpointIO

from sewdsl.tensor_file import tensor_digest
from sewdsl.terminal import echo
from sewdsl.train.fit.classifier import Classifier
from sewdsl.train.fit.processes import rank
from sewdsl.train.fit.run_weights import read_weights, write_weights
from sewdsl.train.store import measurements
from sewdsl.train.store.run_folder import RunError, RunFolder, RunInterrupted, write_run_file

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer


PREFIX = "model."
"""Prefix of the network's weights in Lightning's checkpoints, omitted in files of weights."""

WEIGHTS = "weights"
"""Key of the SHA-256 of the weights in a saved state."""

BATCH_FIGURES = ("loss", "accuracy")
"""Metrics of a batch, which are not part of an epoch's metrics."""


def read_state(path: Path) -> dict[str, Any]:
    """Read and verify the state of a run, without its weights and without executing code.

    Raises:
        RunError: If the file is missing or damaged.
    """
    state: Any = None
    try:
        # torch.load ignores the checksums, and prints warnings about files that it then rejects.
        with ZipFile(path) as archive, warnings.catch_warnings(action="ignore"):
            if archive.testzip() is None:
                state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise RunError(f"the checkpoint '{path}' is missing") from None
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001, S110 -- a damaged pickle can end in any of them
        pass
    if isinstance(state, dict) and isinstance(state.get(WEIGHTS), str):
        return dict(state)
    raise RunError(f"the checkpoint '{path}' is damaged")


def read_checkpoint(folder: RunFolder, path: Path) -> dict[str, Any]:
    """Read the state of a run and its weights, in the format of Lightning.

    Args:
        path: The last or the previous state.

    Raises:
        RunError: If the state or its weights are missing or damaged.
    """
    state = read_state(path)
    error: RunError | None = None
    # If the process was killed between writing the weights and the state, the state belongs to the previous weights.
    for file in (folder.last, folder.previous):
        try:
            tensors = read_weights(file)
        except RunError as reason:
            error = error or reason
            continue
        if tensor_digest(tensors) == state[WEIGHTS]:
            return {**state, "state_dict": {f"{PREFIX}{key}": tensor for key, tensor in tensors.items()}}
    raise error or RunError(f"the weights '{folder.last}' do not belong to the checkpoint '{path}'")


def restore_last_weights(folder: RunFolder, checkpoint: dict[str, Any]) -> None:
    """Write the weights of a checkpoint to the file of the last weights, unless the file has them.

    Raises:
        RunError: If the file cannot be written.
    """
    with suppress(RunError):
        if tensor_digest(read_weights(folder.last)) == checkpoint[WEIGHTS]:
            return
    write_weights(folder.last, _network_weights(checkpoint))


def _network_weights(checkpoint: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Return the weights of a checkpoint, with the network's keys."""
    return {name.removeprefix(PREFIX): value for name, value in checkpoint["state_dict"].items()}


def require_plain_state(states: dict[str, Any]) -> None:
    """Check that the states of callbacks can be restored from a checkpoint without executing code.

    Args:
        states: Results of ``state_dict``, by the names of the callbacks.

    Raises:
        RunError: If a state contains other objects than numbers, strings, tensors, lists and dicts.
    """
    for name, state in states.items():
        buffer = BytesIO()
        try:
            torch.save(state, buffer)
            buffer.seek(0)
            torch.load(buffer, weights_only=True)
        except Exception:  # noqa: BLE001 -- pickle can raise anything
            raise RunError(
                f"cannot restore the state_dict() of the callback {name} from a checkpoint; "
                "use only numbers, strings, tensors, lists and dicts"
            ) from None


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoint writer: weights as safetensors, and a state without weights.

    Each file is replaced atomically. The last weights and the last state are kept as the previous ones.
    """

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self._folder = folder

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write the best weights only, or the last weights and the state.

        Raises:
            RunError: If a file cannot be written, e.g. on a full disk, or the state of a callback cannot be restored.
                The old files are kept.
        """
        tensors = _network_weights(checkpoint)
        if Path(path) == self._folder.best:
            write_weights(self._folder.best, tensors)
            return
        require_plain_state(checkpoint.get("callbacks") or {})
        state: dict[str, Any] = {name: value for name, value in checkpoint.items() if name != "state_dict"}
        # Write the weights first: until the state is replaced, its weights are the previous ones (read_checkpoint).
        state[WEIGHTS] = write_weights(self._folder.last, tensors, keep_as=self._folder.previous)
        buffer = BytesIO()
        torch.save(state, buffer)
        write_run_file(self._folder.state, buffer.getvalue(), keep_as=self._folder.previous_state)

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any = None,  # Lightning moves the tensors.
        weights_only: bool | None = None,  # noqa: FBT001 -- always true here
    ) -> dict[str, Any]:
        """Read a state and its weights, or raise RunError if some are missing or damaged."""
        return read_checkpoint(self._folder, Path(path))


class RunCheckpointer(Checkpoint):
    """Callback that saves a run after every epoch, within long epochs, and before it stops on a signal.

    On a signal, the run stops after the current optimizer step, or after the evaluation if this was the last step of an
    epoch. A second signal stops the run immediately, without saving.

    Args:
        every: Seconds between checkpoints within an epoch (0 saves after every step).

    Attributes:
        signal: Number of the received signal, or 0 for none.
    """

    def __init__(self, folder: RunFolder, every: float) -> None:
        self._folder, self._every = folder, every
        self._saved = monotonic()
        self.signal = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Install signal handlers. Lightning restores the previous ones after the training."""
        self._saved = monotonic()
        with suppress(ValueError):  # Only the main thread can install signal handlers.
            signal.signal(signal.SIGINT, self._handle_signal)
            signal.signal(signal.SIGTERM, self._handle_signal)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save the run if the interval has passed or a signal was received."""
        # A checkpoint after the last batch would skip the evaluation. One between accumulated batches would lose their
        # gradients.
        if trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        is_due = monotonic() - self._saved >= self._every
        # All processes must save together, as soon as any of them is due or has received a signal.
        if trainer.strategy.reduce_boolean_decision(is_due or bool(self.signal), all=False):
            self._save(trainer)
            if trainer.strategy.reduce_boolean_decision(bool(self.signal), all=False):
                raise RunInterrupted(self.signal or signal.SIGTERM)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the metrics of the epoch, and save the run and the best weights."""
        module = cast("Classifier", pl_module)
        figures = {name: float(value) for name, value in trainer.callback_metrics.items() if name not in BATCH_FIGURES}
        figures.update(module.figures)
        history = module.history
        is_better = module.is_better(figures)
        history[trainer.current_epoch + 1] = figures
        if is_better:
            # Lightning puts averaged weights in the place of the trained ones only in a full checkpoint.
            trainer.save_checkpoint(self._folder.best, weights_only=module.recipe.ema is None)
        self._save(trainer)
        if trainer.is_global_zero:
            measurements.write_metrics(history, self._folder.metrics)
        if trainer.strategy.reduce_boolean_decision(bool(self.signal), all=False):
            trainer.should_stop = True

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self._folder.state)
        self._saved = monotonic()

    def _handle_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.signal:
            raise RunInterrupted(number)
        self.signal = number
        if rank() == 0:
            echo("\nstopping after this step and its evaluation, if any; repeat to stop immediately", err=True)
