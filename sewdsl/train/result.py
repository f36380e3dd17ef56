"""What comes out of a run."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sewdsl.train.origin import Origin
from sewdsl.train.watch.population import Population

PACKAGES = ("sewdsl", "torch", "lightning", "numpy")

UNKNOWN = "unknown"
"""The version of a package that is not installed."""

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
        start: Where the weights came from that it began with; None: they were random.
        device: ``cpu`` or ``cuda``.
        machine: What it ran on, in words.
        processes: How many trained together; with other numbers, other samples meet in a batch.
        threads: Torch's threads; with other numbers, sums are rounded in another order.
        versions: Of what the numbers depend on, by name.
        firing_rates: Spikes per neuron, sample and time-step over the test samples, by the node's name.
        neurons: How many of each such layer never fire, nearly always, or in between; empty where it was not counted.
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
    start: Origin | None = None
    device: str
    machine: str = "unknown"
    processes: int = 1
    threads: int
    versions: dict[str, str]
    firing_rates: dict[str, Share]
    neurons: dict[str, Population] = Field(default_factory=dict)


def complaint(error: ValidationError, text: bytes) -> str:
    """What is wrong with a text that should be a result, and which version wrote it if it says so."""
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    said = {"missing": f"'{field}' is missing", "extra_forbidden": f"'{field}' is unknown"}
    what = said.get(first["type"], f"{field}: {first['msg']}" if field else first["msg"])
    try:
        wrote = json.loads(text)["versions"]["sewdsl"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return what
    return what if wrote == UNKNOWN else f"{what}; sewdsl {wrote} wrote it"


def versions() -> dict[str, str]:
    """Of Python and the packages that the numbers depend on."""
    return {"python": platform.python_version(), **{package: _version(package) for package in PACKAGES}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a checkout that is run without being installed
        return UNKNOWN
