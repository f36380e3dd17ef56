"""The trained network in a folder: of a run, or one that ``sewdsl export --to folder`` has written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sewdsl.compiler import compile as compile_module
from sewdsl.compiler import load
from sewdsl.exchange.errors import WeightsError
from sewdsl.exchange.weights.weights_file import read_weights
from sewdsl.paths import is_file

if TYPE_CHECKING:
    from sewdsl.lower import SpikingNetwork

EXPORTED = "weights.safetensors"
"""The weights in a folder that ``sewdsl export --to folder`` has written."""


def load_trained(folder: str | Path, *, best: bool = False, optimize: int = 1) -> SpikingNetwork:
    """The trained network in a folder, in evaluation mode; nothing in the folder is run.

    Args:
        folder: Of a run, also of one that has not ended, or one that ``sewdsl export --to folder`` has written.
        best: Whether with the weights of a run's best epoch; otherwise with those of its last.
        optimize: See :func:`sewdsl.compile`.

    Raises:
        WeightsError: the folder holds no such weights, or they are damaged or of another network.
        SewdslError: there is no network in the folder, or it has errors.
    """
    folder = Path(folder)
    network = load(folder)
    file = folder / EXPORTED
    if not is_file(file):
        file = folder / "checkpoints" / f"{'best' if best else 'last'}.safetensors"
    elif best:
        message = f"'{folder}' holds the weights of one epoch; best=True is for the folder of a run"
        raise WeightsError(message)
    if not is_file(file):
        message = f"'{folder}' holds no trained weights: '{file}' is missing"
        raise WeightsError(message)
    model = compile_module(network, optimize=optimize)
    try:
        model.load_state_dict(read_weights(file).tensors)
    except RuntimeError as error:
        message = f"'{file}' does not fit the network in '{folder}': {error}"
        raise WeightsError(message) from None
    return model.eval()
