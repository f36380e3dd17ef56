"""Weights in a run folder: safetensors files of the last epoch, the best epoch, and the start if it was not random."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sewdsl.light_dataclass import dataclass
from sewdsl.lower import SpikingNetwork
from sewdsl.paths import explain
from sewdsl.tensor_file import DIGEST, DamagedTensorsError, decode_tensors, encode_tensors, tensor_digest
from sewdsl.train.store.result import WeightsOrigin
from sewdsl.train.store.run_folder import RunError, RunFolder, write_run_file

if TYPE_CHECKING:
    from torch import Tensor, nn


def write_weights(path: Path, tensors: Mapping[str, Tensor], *, keep_as: Path | None = None) -> str:
    """Write weights with their SHA-256, which is returned.

    Args:
        tensors: Weights by the keys of ``state_dict()``.

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
    return read_with_metadata(path)[0]


def read_with_metadata(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the weights in a file and its metadata, see :func:`read_weights`."""
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
        tensors: Weights by the keys of ``state_dict()``.

    Raises:
        RunError: If they are the weights of another network.
    """
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise RunError(f"the weights '{path}' are of another network: {str(error).splitlines()[-1].strip()}") from None


@dataclass(frozen=True)
class InitialWeights:
    """What a run begins with.

    Attributes:
        tensors: Weights of the network, by our keys: all of them, or those of the layers that do not begin anew.
    """

    origin: WeightsOrigin
    tensors: Mapping[str, Tensor]


def load_into(model: SpikingNetwork, beginning: InitialWeights) -> None:
    """Give a network the weights; every number that its types can hold stays as it is.

    Layers that begin anew keep what they have.

    Raises:
        RunError: If they are those of another network.
    """
    new = tuple(f"{part}." for part in beginning.origin.new)
    kept = {key: value for key, value in model.state_dict().items() if key.startswith(new)}
    try:
        model.load_state_dict({**kept, **beginning.tensors})
    except RuntimeError as error:
        raise RunError(f"the weights in '{beginning.origin.file}' are not of {model.network.name}: {error}") from None


def write_initial_weights(folder: RunFolder, beginning: InitialWeights) -> None:
    """Keep a copy in the folder of the run, which then needs the file no more.

    Raises:
        RunError: If it cannot be written.
    """
    parts = beginning.origin.model_dump_json(exclude={"file", "sha256"}, exclude_defaults=True)
    metadata = {"file": beginning.origin.file, "sha256": beginning.origin.sha256, "parts": parts}
    metadata[DIGEST] = tensor_digest(beginning.tensors)
    write_run_file(folder.start, encode_tensors(beginning.tensors, metadata))


def read_initial_weights(folder: RunFolder) -> InitialWeights | None:
    """Read the weights that a run began with; None: random ones.

    Raises:
        RunError: If the copy is damaged.
    """
    try:
        tensors, metadata = decode_tensors(folder.start.read_bytes())
        if DIGEST in metadata:
            origin = {"file": metadata["file"], "sha256": metadata["sha256"], **json.loads(metadata["parts"])}
            return InitialWeights(WeightsOrigin.model_validate_json(json.dumps(origin)), tensors)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise RunError(f"the weights that the run began with, '{folder.start}', are damaged")
