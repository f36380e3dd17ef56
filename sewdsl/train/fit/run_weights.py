"""Weights in a run folder: one safetensors file for the last epoch, one for the best, read by every command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sewdsl.paths import explain
from sewdsl.tensor_file import DIGEST, DamagedTensorsError, decode_tensors, encode_tensors, tensor_digest
from sewdsl.train.store.run_folder import RunError, write_run_file

if TYPE_CHECKING:
    from torch import Tensor, nn


def write_weights(path: Path, tensors: Mapping[str, Tensor], *, keep_as: Path | None = None) -> str:
    """Write weights with their SHA-256, which is returned.

    Args:
        path: File to write, at once or not at all.
        tensors: Weights by the keys of ``state_dict()``.
        keep_as: Where to keep the old file, if there is one.

    Raises:
        RunError: If the file cannot be written.
    """
    digest = tensor_digest(tensors)
    write_run_file(path, encode_tensors(tensors, {DIGEST: digest}), keep_as=keep_as)
    return digest


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the weights in a file of a run or of an exported folder.

    Raises:
        RunError: If the file is missing or damaged.
    """
    return _read(path)[0]


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a file of weights.

    Raises:
        RunError: If the file is missing or damaged.
    """
    return _read(path)[1]


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        return decode_tensors(path.read_bytes())
    except FileNotFoundError:
        message = f"the weights '{path}' are missing"
    except OSError as error:
        message = f"cannot read '{path}': {explain(error, path)}"
    except DamagedTensorsError as error:
        message = f"the weights '{path}' are damaged: {error}"
    raise RunError(message)


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load weights into a network.

    Args:
        model: The network, changed in place.
        tensors: Weights by the keys of ``state_dict()``.
        path: Their file, for the message.

    Raises:
        RunError: If they are the weights of another network.
    """
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        message = f"the weights '{path}' are of another network: {str(error).splitlines()[-1].strip()}"
        raise RunError(message) from None
