"""The weights that a run begins with, if these are not random ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sewdsl.light_dataclass import dataclass
from sewdsl.lower import SpikingNetwork
from sewdsl.tensor_file import DIGEST, decode_tensors, encode_tensors, tensor_digest
from sewdsl.train.store.result import WeightsOrigin
from sewdsl.train.store.run_folder import RunError, RunFolder, write_run_file

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class InitialWeights:
    """What a run begins with.

    Attributes:
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
    parts = beginning.origin.model_dump_json(exclude={"file", "sha256"}, exclude_defaults=True)
    metadata = {"file": beginning.origin.file, "sha256": beginning.origin.sha256, "parts": parts}
    metadata[DIGEST] = tensor_digest(beginning.tensors)
    write_run_file(folder.start, encode_tensors(beginning.tensors, metadata))


def read_initial_weights(folder: RunFolder) -> InitialWeights | None:
    """What a run began with; None: with random weights.

    Raises:
        RunError: the copy is damaged.
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
    message = f"the weights that the run began with, '{folder.start}', are damaged"
    raise RunError(message)
