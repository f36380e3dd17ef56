"""How Lightning's checkpoints come to lie on the disk."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from lightning.pytorch.plugins import TorchCheckpointIO

from sewdsl.train import atomic, weights
from sewdsl.train.folder import RunFolder

PREFIX = "model."
"""Of the network's weights inside a checkpoint; in a ``.safetensors`` file they have the network's own names."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint as a whole or not at all, and its weights beside it as ``.safetensors``.

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
        atomic.write(path, buffer.getvalue(), self._folder.previous if path == self._folder.last else None)
        tensors = {
            name.removeprefix(PREFIX): value.contiguous()
            for name, value in checkpoint["state_dict"].items()
            if name.startswith(PREFIX)
        }
        atomic.write(path.with_suffix(".safetensors"), safetensors.torch.save(tensors, {"format": "pt"}))

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
        return weights.read_checkpoint(Path(path))
