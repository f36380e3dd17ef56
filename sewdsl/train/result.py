"""What comes out of a run."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

PACKAGES = ("sewdsl", "torch", "lightning", "numpy")

Share = Annotated[float, Field(ge=0, le=1)]


class Result(BaseModel):
    """The contents of ``result.json``.

    Attributes:
        network: The network's name.
        data: The data set's.
        accuracy: Share of the test samples that the last weights get right.
        best_accuracy: The same of the best epoch's weights. Without a validation part it was chosen on the test
            samples, as the paper does, so it flatters a little.
        epochs: Epochs completed.
        parameters: Learnable parameters.
        seconds: Wall-clock time of the training, the test after each epoch included; all parts of it.
        seed: The recipe's.
        device: ``cpu`` or ``cuda``.
        machine: What it ran on, in words.
        processes: How many trained together; with other numbers, other samples meet in a batch.
        threads: Torch's threads; with other numbers, sums are rounded in another order.
        versions: Of what the numbers depend on, by name.
        firing_rates: Spikes per neuron, sample and time-step over the test samples, by the node's name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str
    data: str
    accuracy: Share
    best_accuracy: Share
    epochs: int
    parameters: int
    seconds: float
    seed: int
    device: str
    machine: str = "unknown"
    processes: int = 1
    threads: int
    versions: dict[str, str]
    firing_rates: dict[str, Share]


def versions() -> dict[str, str]:
    """Of Python and the packages that the numbers depend on."""
    return {"python": platform.python_version(), **{package: _version(package) for package in PACKAGES}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a checkout that is run without being installed
        return "unknown"
