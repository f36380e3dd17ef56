"""Checkpoint files: written atomically, checked, and read."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import safetensors.torch
import torch
from lightning.pytorch.plugins import TorchCheckpointIO

from sewdsl.train.fit.classifier import Classifier
from sewdsl.train.store.run_files import write_run_file
from sewdsl.train.store.run_folder import RunError, RunFolder


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
    """Both.

    Raises:
        RunError: there is no checkpoint, it is damaged, or it is one of another network.
    """
    load_checkpoint_weights(module, read_checkpoint(path), path)


PREFIX = "model."
"""Of the network's weights inside a checkpoint; in a ``.safetensors`` file they have the network's own names."""


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
            RunError: the disk is full, or the like; what was there before stays.
        """
        path = Path(path)
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
