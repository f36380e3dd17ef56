"""``result.json``: the result of a run, the machine it ran on, and the origin of its initial weights."""

from __future__ import annotations

import json
import os
import platform
import re
from math import prod, sqrt
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from sewdsl.checks.expectation import measured_claims
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
"""Firing rates below or above cause a warning: such a layer passes on little information about its input."""


EDGES = (0.001, 0.003, DEAD, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, SATURATED)
"""Upper edges of the bins: half decades at the common rates of spiking networks, then tenths.

The first bin starts above 0, and each other bin above the edge of the previous one."""

MAX_AXES = 8
"""Maximum number of axes of a layer's output in a file. Layers of the language have at most three."""


class Population(BaseModel):
    """Neurons of a layer, counted by firing rate.

    The rate is the number of spikes per sample and time-step. A channel or position counts as dead or saturated if all
    of its neurons are. In a layer without positions, each neuron is a channel.
    """

    model_config = STRICT

    shape: tuple[Positive, ...] = Field(min_length=1, max_length=MAX_AXES)
    """``[C, H, W]`` or ``[F]``, one neuron per element."""
    dead: Count
    """Neurons that never fire."""
    saturated: Count
    """Neurons with a rate above 0.9."""
    always: Count
    """Saturated neurons that fire at every time-step of every sample."""
    dead_channels: Count
    """Dead channels, out of C."""
    dead_places: Count
    """Dead positions, out of H · W."""
    saturated_channels: Count
    """Saturated channels, out of C."""
    histogram: tuple[Count, ...] = Field(min_length=len(EDGES), max_length=len(EDGES))
    """Other neurons, in 13 bins with the upper edges 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, … 0.9. An edge belongs to the
    lower bin."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        # The report relies on consistent counts, but the file may come from another program.
        if sum(self.bins) != self.neurons:
            raise ValueError(f"expected {self.neurons} neurons in all bins, got {sum(self.bins)}")
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
        """Number of neurons."""
        return prod(self.shape)

    @property
    def dead_share(self) -> float:
        """Fraction of dead neurons, in [0, 1]."""
        return self.dead / self.neurons

    @property
    def saturated_share(self) -> float:
        """Fraction of saturated neurons, in [0, 1]."""
        return self.saturated / self.neurons

    @property
    def places(self) -> int:
        """Number of positions H · W, or 1 for a layer without positions."""
        return prod(self.shape[1:])

    @property
    def scattered_dead(self) -> int:
        """Dead neurons outside of dead channels and dead positions."""
        return self.dead - self.dead_channels * self.places - self.dead_places * (self.shape[0] - self.dead_channels)

    @property
    def bins(self) -> tuple[int, ...]:
        """Dead neurons, histogram, and saturated neurons: 15 counts that add up to all neurons."""
        return (self.dead, *self.histogram, self.saturated)


class WeightsOrigin(BaseModel):
    """Origin of initial weights."""

    model_config = STRICT

    file: Annotated[Text, AfterValidator(lambda path: re.split(r"[/\\]", path)[-1])]
    """File name without the folder, because runs may be published."""
    sha256: Digest
    """SHA-256 of the file."""
    only: tuple[Text, ...] = ()
    """Patterns of the requested layers and groups (empty for all)."""
    taken: tuple[Text, ...] = ()
    """Layers and groups initialised from the file, unless they are the whole network."""
    new: tuple[Text, ...] = ()
    """Layers and groups with random initial weights."""
    left: tuple[Text, ...] = ()
    """Unused tensors of the file, with the reasons."""


class IntegerScore(BaseModel):
    """Accuracy of the network in integers, as a C export computes it."""

    model_config = STRICT

    bits: Positive
    """Bits of the weights."""
    accuracy: Share
    """Fraction of correct test samples with the last weights."""
    samples: Positive
    """Number of these samples, at most 1,000."""

    def __str__(self) -> str:
        return f"in integers with weights of {self.bits} bits, on {self.samples:,} test samples"


Precision = Literal["32-true", "16-mixed", "bf16-mixed"]
"""Precision of a network in Lightning's terms: float32, or float16 or bfloat16 where autocast applies them."""

PACKAGES = ("sewdsl", "torch", "lightning", "numpy")

UNKNOWN_VERSION = "unknown"
"""Version of a package that is not installed."""


class Result(BaseModel):
    """Contents of ``result.json``. Every field has bounds, because the file may come from another program."""

    model_config = STRICT

    network: Text
    data: Word
    """Name of the dataset."""
    accuracy: Share
    """Fraction of correct test samples with the last weights."""
    best_accuracy: Share
    """The same with the weights of the best epoch. Without a validation set, the epoch was selected on the test
    samples, as in the paper, which biases the accuracy upwards."""
    top5_accuracy: Share | None = None
    """Fraction of test samples with their class among the five largest logits, with the last weights, or None below 20
    classes."""
    best_top5_accuracy: Share | None = None
    """The same with the weights of the best epoch."""
    accuracies: dict[Text, Share] = {}
    """Fraction of correct test samples with the last weights, for each further output that is trained to output the
    class. Without a class as target of the main output, ``accuracy`` and ``best_accuracy`` are 0."""
    loss: float | None = None
    """Loss of the main output on the test samples with the last weights, if its target is not a class."""
    best_loss: float | None = None
    """The same with the weights of the best epoch."""
    integers: IntegerScore | None = None
    """Accuracy in integers, if the recipe has ``quantize`` and the network can be computed in integers."""
    epochs: Count
    """Number of completed epochs."""
    parameters: Count
    """Number of learnable parameters."""
    seconds: Seconds
    """Wall-clock time of all parts of the training, including the evaluation after each epoch."""
    seed: Seed
    start: WeightsOrigin | None = None
    """Origin of the initial weights, or None for random weights."""
    device: Literal["cpu", "cuda", "mps"]
    """``cpu``, ``cuda``, or ``mps`` (Apple GPU)."""
    machine: Word = "unknown"
    """Description of the machine."""
    processes: Positive = 1
    """Number of processes, which determines the composition of batches."""
    precision: Precision | None = None
    """Precision of the last part of the run, or None if not recorded (older runs)."""
    threads: Threads
    """Number of threads of PyTorch, which determines the rounding of sums."""
    versions: dict[Word, Word]
    """Versions of the packages that affect the results, by name."""
    firing_rates: dict[Text, Share]
    """Spikes per neuron, sample and time-step over the test samples, by node name."""
    neurons: dict[Text, Population] = {}
    """Neurons of each such layer by firing rate (empty if not counted)."""


def parse_result(data: bytes) -> Result:
    """Parse a result.

    Raises:
        RecordError: If the text is not a valid result. The message names the version that wrote the file, if known.
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
    """Return a clause with the version of sewdsl that wrote a file (empty if the version is unknown)."""
    # The file is not trusted, and the version is printed.
    is_version = isinstance(version, str) and re.fullmatch(r"[0-9][\w.+-]{0,40}", version)
    return f"; written by sewdsl {version}" if is_version else ""


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that affect the results."""
    return {
        "python": platform.python_version(),
        **{name: installed_version(name) or UNKNOWN_VERSION for name in PACKAGES},
    }


def describe_machine(device: str) -> str:
    """Describe system, architecture, cores and used GPUs, e.g. ``Linux x86_64, 16 cores, NVIDIA H100``.

    Args:
        device: ``cpu``, ``cuda`` or ``mps``.
    """
    import torch  # Not at the top: tables of runs do not need it.

    parts = [f"{platform.system()} {platform.machine()}", f"{os.cpu_count()} cores"]
    if device == "cuda":
        parts += [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return ", ".join(parts)


def accuracy_claims(network: Network, last: float, best: float, samples: int | None = None) -> list[str]:
    """Return a line per accuracy claim: whether the claim holds, or the difference.

    Args:
        last: Fraction of correct test samples with the last weights.
        best: The same with the weights of the best epoch.
        samples: Number of test samples, or None if unknown.
    """
    lines = []
    for claim, figure in measured_claims(network, "accuracy"):
        prefix = f"claim accuracy {claim.value}{f' ({claim.source})' if claim.source else ''}"
        holding = [name for name, share in (("last", last), ("best", best)) if figure.holds(share)]
        if holding:
            lines.append(f"{prefix}: holds for the {' and the '.join(holding)} epoch")
            continue
        difference = 100 * (best - float(figure.value))
        verdict = (
            f"does not hold: the best epoch is {abs(difference):.2f} points {'above' if difference > 0 else 'below'} it"
        )
        if samples:
            # Standard error of a binomial proportion, in percentage points.
            error = 100 * sqrt(best * (1 - best) / samples)
            verdict += f"; the standard error of {samples:,} samples is {error:.2f}"
        lines.append(f"{prefix}: {verdict}")
    return lines
