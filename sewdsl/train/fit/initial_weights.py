"""The weights that a run begins with, if these are not random ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING

import safetensors.torch
import torch
from safetensors import SafetensorError

from sewdsl.light_dataclass import dataclass
from sewdsl.lower import SpikingNetwork
from sewdsl.train.store.result import WeightsOrigin
from sewdsl.train.store.run_folder import RunError, RunFolder, write_run_file

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class InitialWeights:
    """What a run begins with.

    Attributes:
        origin: Where it came from.
        tensors: Weights of the network, by our keys: all of them, or those of the layers that do not begin anew.
    """

    origin: WeightsOrigin
    tensors: Mapping[str, Tensor]


def load_into(model: SpikingNetwork, beginning: InitialWeights) -> None:
    """Gives a network the weights; every number that its types can hold stays as it is.

    Layers that begin anew keep what they have.

    Raises:
        RunError: they are those of another network.
    """
    new = tuple(f"{part}." for part in beginning.origin.new)
    kept = {key: value for key, value in model.state_dict().items() if key.startswith(new)}
    try:
        model.load_state_dict({**kept, **beginning.tensors})
    except RuntimeError as error:
        message = f"the weights in '{beginning.origin.file}' are not of {model.network.name}: {error}"
        raise RunError(message) from None


def write_initial_weights(folder: RunFolder, beginning: InitialWeights) -> None:
    """Keeps a copy in the folder of the run, which then needs the file no more.

    Raises:
        RunError: it cannot be written.
    """
    tensors = _plain(beginning.tensors)
    parts = beginning.origin.model_dump_json(exclude={"file", "sha256"}, exclude_defaults=True)
    origin = {"file": beginning.origin.file, "sha256": beginning.origin.sha256, "parts": parts}
    metadata = {"format": "pt", **origin, "copy": _digest(tensors)}
    write_run_file(folder.start, safetensors.torch.save(tensors, metadata))


def read_initial_weights(folder: RunFolder) -> InitialWeights | None:
    """What a run began with; None: with random weights.

    Raises:
        RunError: the copy is damaged.
    """
    try:
        data = folder.start.read_bytes()
        tensors = safetensors.torch.load(data)
        said = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        if said["copy"] == _digest(tensors):
            parts = json.loads(said.get("parts", "{}"))
            origin = json.dumps({"file": said["file"], "sha256": said["sha256"], **parts})
            return InitialWeights(WeightsOrigin.model_validate_json(origin), tensors)
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        pass
    message = f"the weights that the run began with, '{folder.start}', are damaged"
    raise RunError(message)


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Of the numbers: safetensors has no checksums of its own."""
    return sha256(safetensors.torch.save(_plain(tensors))).hexdigest()


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same numbers in order and each by itself, as the format wants them; checkpoints hold channels last."""
    return {key: tensors[key].clone(memory_format=torch.contiguous_format) for key in sorted(tensors)}
