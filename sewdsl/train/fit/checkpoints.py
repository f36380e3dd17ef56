"""Checkpoints: when a run is saved, and files that are written atomically, checked, and read."""

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
"""Prefix of the network's weights in Lightning's checkpoints; files of weights have the network's own keys."""

WEIGHTS = "weights"
"""Key in a saved state: SHA-256 of the weights it belongs to."""

BATCH_FIGURES = ("loss", "accuracy")
"""Figures of a batch, which do not belong to an epoch."""


def read_state(path: Path) -> dict[str, Any]:
    """Read the state of a run without its weights, every byte checked; nothing in the file is run.

    Raises:
        RunError: If the file is missing or damaged.
    """
    state: Any = None
    try:
        # torch.load does not look at the checksums, and warns of files that it then rejects.
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
    """Read the state of a run together with the weights it belongs to, as Lightning expects them.

    A process may be killed after it has written the weights and before the state. The weights that the state belongs to
    are then the previous ones.

    Args:
        path: The state, the last or the previous one.

    Raises:
        RunError: If the state is missing or damaged, or its weights are.
    """
    state = read_state(path)
    error: RunError | None = None
    for file in (folder.last, folder.previous):
        try:
            tensors = read_weights(file)
        except RunError as reason:
            error = error or reason
            continue
        if tensor_digest(tensors) == state[WEIGHTS]:
            return {**state, "state_dict": {f"{PREFIX}{key}": tensor for key, tensor in tensors.items()}}
    message = f"the weights '{folder.last}' are not those that the checkpoint '{path}' belongs to"
    raise error or RunError(message)


def restore_last_weights(folder: RunFolder, checkpoint: dict[str, Any]) -> None:
    """Write the weights of a checkpoint as the last ones, unless they are.

    Raises:
        RunError: If the file cannot be written.
    """
    with suppress(RunError):
        if tensor_digest(read_weights(folder.last)) == checkpoint[WEIGHTS]:
            return
    write_weights(folder.last, _network_weights(checkpoint))


def _network_weights(checkpoint: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Return the weights in a checkpoint by the network's own keys."""
    return {name.removeprefix(PREFIX): value for name, value in checkpoint["state_dict"].items()}


def require_plain_state(states: dict[str, Any]) -> None:
    """Reject what a callback wants to keep in a checkpoint and could not be read back from it, where nothing is run.

    Args:
        states: What their ``state_dict`` gave, by their names.

    Raises:
        RunError: If one gave something else than numbers, texts, tensors, and lists and dicts of these.
    """
    for name, state in states.items():
        buffer = BytesIO()
        try:
            torch.save(state, buffer)
            buffer.seek(0)
            torch.load(buffer, weights_only=True)
        except Exception:  # noqa: BLE001 -- pickle ends in any of them
            raise RunError(
                f"what the callback {name} keeps by state_dict() could not be read from a checkpoint again: "
                "it may hold numbers, texts, tensors, lists and dicts alone"
            ) from None


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write the weights of a run as safetensors, and what else resuming needs as a state without weights.

    Each file is written at once or not at all. The last weights and the last state become the previous ones before
    they are replaced.
    """

    def __init__(self, folder: RunFolder) -> None:
        super().__init__()
        self._folder = folder

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write the best weights alone, or the last weights and the state.

        Raises:
            RunError: If a file cannot be written, e.g. on a full disk, or the state of a callback could not be read
                back. The old files stay.
        """
        tensors = _network_weights(checkpoint)
        if Path(path) == self._folder.best:
            write_weights(self._folder.best, tensors)
            return
        require_plain_state(checkpoint.get("callbacks") or {})
        state: dict[str, Any] = {name: value for name, value in checkpoint.items() if name != "state_dict"}
        # The weights go first: while the state is still the previous one, its weights are too, see read_checkpoint.
        state[WEIGHTS] = write_weights(self._folder.last, tensors, keep_as=self._folder.previous)
        buffer = BytesIO()
        torch.save(state, buffer)
        write_run_file(self._folder.state, buffer.getvalue(), keep_as=self._folder.previous_state)

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any = None,  # Lightning moves what it needs
        weights_only: bool | None = None,  # noqa: FBT001 -- always
    ) -> dict[str, Any]:
        """Read a state and its weights.

        Raises:
            RunError: If one is missing or damaged.
        """
        return read_checkpoint(self._folder, Path(path))


class RunCheckpointer(Checkpoint):
    """Saves the state of the run: after every epoch, within long ones, and before it stops for a signal.

    It stops after a step of the optimizer, or, if it is asked to after the last step of an epoch, when that epoch has
    been judged. A second signal stops it at once: it goes on from what was saved last.

    Args:
        every: Seconds from one save within an epoch to the next; 0: after every step.

    Attributes:
        signal: What it was asked to stop by; 0: nothing.
    """

    def __init__(self, folder: RunFolder, every: float) -> None:
        self._folder, self._every = folder, every
        self._saved = monotonic()
        self.signal = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen to signals from here on; Lightning gives them back to who had them when the training ends."""
        self._saved = monotonic()
        with suppress(ValueError):  # only the main thread may listen
            signal.signal(signal.SIGINT, self._ask)
            signal.signal(signal.SIGTERM, self._ask)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time to."""
        if trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return  # a checkpoint after the last batch would skip the test; one before the step, the gradients so far
        late = monotonic() - self._saved >= self._every
        if trainer.strategy.reduce_boolean_decision(late or bool(self.signal), all=False):
            self._save(trainer)
            if trainer.strategy.reduce_boolean_decision(bool(self.signal), all=False):
                raise RunInterrupted(self.signal or signal.SIGTERM)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the figures of the epoch; save, the best epoch apart."""
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
        trainer.save_checkpoint(self._folder.state)
        self._saved = monotonic()

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if self.signal:
            raise RunInterrupted(number)
        self.signal = number
        if rank() == 0:
            echo("\nstopping when this step, or the test after it, is done; once more stops at once", err=True)
