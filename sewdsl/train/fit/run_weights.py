"""Weights files of a run folder: last epoch, best epoch, and initial weights that are not random."""

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
    """Write weights, and return their SHA-256.

    Args:
        tensors: Weights, by the keys of ``state_dict()``.
        keep_as: New name for an existing file.

    Raises:
        RunError: If the file cannot be written.
    """
    digest = tensor_digest(tensors)
    write_run_file(path, encode_tensors(tensors, {DIGEST: digest}), keep_as=keep_as)
    return digest


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read weights in a run folder or exported folder, or raise RunError if they are missing or damaged."""
    return read_with_metadata(path)[0]


def read_with_metadata(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read weights and metadata of a file (see :func:`read_weights`)."""
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
        tensors: Weights, by the keys of ``state_dict()``.

    Raises:
        RunError: If the weights do not fit the network.
    """
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise RunError(f"the weights '{path}' do not fit the network: {str(error).splitlines()[-1].strip()}") from None


@dataclass(frozen=True)
class InitialWeights:
    """Initial weights of a run by sewdsl keys, without those of layers with random initial weights."""

    origin: WeightsOrigin
    tensors: Mapping[str, Tensor]


def load_into(model: SpikingNetwork, initial: InitialWeights) -> None:
    """Load initial weights into a network. Layers without initial weights keep their random weights.

    Raises:
        RunError: If the weights do not fit the network.
    """
    new = tuple(f"{part}." for part in initial.origin.new)
    random_tensors = {key: value for key, value in model.state_dict().items() if key.startswith(new)}
    try:
        # load_state_dict requires a value for every key.
        model.load_state_dict({**random_tensors, **initial.tensors})
    except RuntimeError as error:
        raise RunError(f"the weights in '{initial.origin.file}' do not fit {model.network.name}: {error}") from None


def write_initial_weights(folder: RunFolder, initial: InitialWeights) -> None:
    """Write a copy of the initial weights to the run folder, so that the original file is not needed again.

    Raises:
        RunError: If the file cannot be written.
    """
    parts = initial.origin.model_dump_json(exclude={"file", "sha256"}, exclude_defaults=True)
    metadata = {"file": initial.origin.file, "sha256": initial.origin.sha256, "parts": parts}
    metadata[DIGEST] = tensor_digest(initial.tensors)
    write_run_file(folder.start, encode_tensors(initial.tensors, metadata))


def read_initial_weights(folder: RunFolder) -> InitialWeights | None:
    """Read the initial weights of a run, none after a random start, or raise RunError if the file is damaged."""
    try:
        tensors, metadata = decode_tensors(folder.start.read_bytes())
        # A copy without a digest cannot be verified.
        if DIGEST in metadata:
            origin = {"file": metadata["file"], "sha256": metadata["sha256"], **json.loads(metadata["parts"])}
            return InitialWeights(WeightsOrigin.model_validate_json(json.dumps(origin)), tensors)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise RunError(f"the initial weights '{folder.start}' are damaged")
