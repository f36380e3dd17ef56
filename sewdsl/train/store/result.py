"""``result.json``: the result of a run, the machine it ran on, and the origin of its initial weights."""

from __future__ import annotations

import json
import os
import platform
import re
from math import prod, sqrt
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from sewdsl.checks.expectation import claimed_value, measured_claims
from sewdsl.ir.network import Network
from sewdsl.plugins import installed_version
from sewdsl.train.records import (
    STRICT,
    Count,
    Digest,
    Positive,
    RecordError,
    Seconds,
    Seed,
    Share,
    Text,
    Threads,
    Word,
    parse_record,
)

DEAD, SATURATED = 0.01, 0.9
"""Rates under the one or over the other are worth a warning: such a layer says little about its input."""


EDGES = (0.001, 0.003, DEAD, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, SATURATED)
"""The highest rate of each bin: half decades where most neurons of spiking networks are, then tenths.

The first bin begins above 0, each other one above the edge before it."""

MAX_AXES = 8
"""Axes of a layer's output; those of the language have at most three."""


class Population(BaseModel):
    """How many neurons of a layer never fire, nearly always, or in between.

    A neuron's rate is its spikes per sample and time-step. A channel or a place is counted as dead or saturated where
    all its neurons are; of a layer without places, each neuron is a channel.

    Attributes:
        shape: ``[C, H, W]`` or ``[F]``, one neuron for each element.
        dead: Neurons that never fire.
        saturated: Neurons whose rate is over 0.9.
        always: Those of them that fire at every time-step of every sample.
        dead_channels: Of C.
        dead_places: Of H · W.
        saturated_channels: Of C.
        histogram: Neurons that are neither dead nor saturated in the 13 bins that end at 0.001, 0.003, 0.01, 0.03,
            0.1, 0.2, … 0.9; an edge belongs to the bin that it ends.
    """

    model_config = STRICT

    shape: tuple[Positive, ...] = Field(min_length=1, max_length=MAX_AXES)
    dead: Count
    saturated: Count
    always: Count
    dead_channels: Count
    dead_places: Count
    saturated_channels: Count
    histogram: tuple[Count, ...] = Field(min_length=len(EDGES), max_length=len(EDGES))

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if sum(self.bins) != self.neurons:
            raise ValueError(f"{sum(self.bins)} neurons are counted of {self.neurons}")
        parts = {
            "always": (self.always, self.saturated),
            "dead_channels": (self.dead_channels, self.shape[0]),
            "saturated_channels": (self.saturated_channels, self.shape[0]),
            "dead_places": (self.dead_places, self.places),
        }
        for name, (part, of) in parts.items():
            if part > of:
                raise ValueError(f"{name} is {part}, expected at most {of}")
        return self

    @property
    def neurons(self) -> int:
        """All of them."""
        return prod(self.shape)

    @property
    def dead_share(self) -> float:
        """Of all, in [0, 1]."""
        return self.dead / self.neurons

    @property
    def saturated_share(self) -> float:
        """Of all, in [0, 1]."""
        return self.saturated / self.neurons

    @property
    def places(self) -> int:
        """H · W; 1 where there are none."""
        return prod(self.shape[1:])

    @property
    def scattered_dead(self) -> int:
        """Dead neurons in channels and at places that are not dead as a whole."""
        return self.dead - self.dead_channels * self.places - self.dead_places * (self.shape[0] - self.dead_channels)

    @property
    def bins(self) -> tuple[int, ...]:
        """The dead, the histogram, the saturated: 15 counts, every neuron in one of them."""
        return (self.dead, *self.histogram, self.saturated)


class WeightsOrigin(BaseModel):
    """Where weights came from.

    Attributes:
        file: The file's name, without the folder that it lay in: a run may be published.
        sha256: Of its contents.
        only: Patterns of the layers and parts whose weights were asked for; none: all.
        taken: Layers and parts that began with weights of the file, where that is not the whole network.
        new: Those that began with random ones.
        left: What of the file was not taken, and why.
    """

    model_config = STRICT

    file: Annotated[Text, AfterValidator(lambda path: re.split(r"[/\\]", path)[-1])]
    sha256: Digest
    only: tuple[Text, ...] = ()
    taken: tuple[Text, ...] = ()
    new: tuple[Text, ...] = ()
    left: tuple[Text, ...] = ()


Precision = Literal["32-true", "16-mixed", "bf16-mixed"]
"""In which floats a network computes, by Lightning's names: all of 32 bits, or float16 or bfloat16 where these do."""

PACKAGES = ("sewdsl", "torch", "lightning", "numpy")

UNKNOWN_VERSION = "unknown"
"""The version of a package that is not installed."""


class Result(BaseModel):
    """The contents of ``result.json``; every field has bounds, also where one is read that another program wrote.

    Attributes:
        network: The network's name.
        data: The dataset's.
        accuracy: Share of the test samples that the last weights get right.
        best_accuracy: The same of the best epoch's weights. Without a validation part it was chosen on the test
            samples, as the paper does, so it flatters a little.
        top5_accuracy: Share of the test samples whose class is among the five that the last weights find likeliest;
            None: there are fewer than 20 classes.
        best_top5_accuracy: The same of the best epoch's weights.
        epochs: Epochs completed.
        parameters: Learnable parameters.
        seconds: Wall-clock time of the training, the test after each epoch included; all parts of it.
        seed: The recipe's.
        start: Where the weights came from that it began with; None: they were random.
        device: ``cpu``, ``cuda``, or ``mps``, Apple's GPU.
        machine: What it ran on, in words.
        processes: How many trained together; with other numbers, other samples meet in a batch.
        precision: What it really was, in the last part of the run; None: it was not noted, as in older runs.
        threads: Torch's threads; with other numbers, sums are rounded in another order.
        versions: Of what the numbers depend on, by name.
        firing_rates: Spikes per neuron, sample and time-step over the test samples, by the node's name.
        neurons: How many of each such layer never fire, nearly always, or in between; empty where it was not counted.
    """

    model_config = STRICT

    network: Text
    data: Word
    accuracy: Share
    best_accuracy: Share
    top5_accuracy: Share | None = None
    best_top5_accuracy: Share | None = None
    epochs: Count
    parameters: Count
    seconds: Seconds
    seed: Seed
    start: WeightsOrigin | None = None
    device: Literal["cpu", "cuda", "mps"]
    machine: Word = "unknown"
    processes: Positive = 1
    precision: Precision | None = None
    threads: Threads
    versions: dict[Word, Word]
    firing_rates: dict[Text, Share]
    neurons: dict[Text, Population] = {}


def parse_result(data: bytes) -> Result:
    """Read the result in a text of JSON.

    Raises:
        RecordError: If it holds none; the message says which version wrote it, if the text does.
    """
    try:
        return parse_record(data, Result)
    except RecordError as error:
        try:
            version = json.loads(data)["versions"]["sewdsl"]
        except (ValueError, KeyError, TypeError, RecursionError):
            version = ""
        raise RecordError(f"{error}{name_writer(version)}") from None


def name_writer(version: object) -> str:
    """Return a clause that names the version of sewdsl that wrote a file; empty if the file names none."""
    named = isinstance(version, str) and re.fullmatch(r"[0-9][\w.+-]{0,40}", version)
    return f"; sewdsl {version} wrote it" if named else ""


def package_versions() -> dict[str, str]:
    """Return the versions of Python and the packages that the numbers depend on."""
    return {
        "python": platform.python_version(),
        **{name: installed_version(name) or UNKNOWN_VERSION for name in PACKAGES},
    }


def describe_machine(device: str) -> str:
    """Return system, architecture, cores, and GPUs if these are what ran: ``Linux x86_64, 16 cores, NVIDIA H100``.

    Args:
        device: ``cpu``, ``cuda`` or ``mps``.
    """
    import torch  # tables of runs need none

    parts = [f"{platform.system()} {platform.machine()}", f"{os.cpu_count()} cores"]
    if device == "cuda":
        parts += [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return ", ".join(parts)


def accuracy_claims(network: Network, last: float, best: float, samples: int | None = None) -> list[str]:
    """Return a line for each claim about accuracy: whether it holds, and by how much it does not.

    Args:
        last: Share of the test samples that the last weights get right.
        best: The same of the best epoch's weights.
        samples: How many test samples there are; None: not known.
    """
    lines = []
    for claim in measured_claims(network, "accuracy"):
        figure = claimed_value(claim)
        if figure is None:  # the network would not be valid
            continue
        head = f"claim accuracy {claim.value}{f' ({claim.source})' if claim.source else ''}"
        holding = [name for name, share in (("last", last), ("best", best)) if figure.holds(share)]
        if holding:
            lines.append(f"{head}: holds for the {' and the '.join(holding)} epoch")
            continue
        by = 100 * (best - float(figure.value))
        verdict = f"does not hold: the best epoch is {abs(by):.2f} points {'above' if by > 0 else 'below'} it"
        if samples:
            error = 100 * sqrt(best * (1 - best) / samples)
            verdict += f"; the standard error of {samples:,} samples is {error:.2f}"
        lines.append(f"{head}: {verdict}")
    return lines
