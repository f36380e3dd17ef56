"""``result.json``: the result of a run, the machine it ran on, and the origin of its initial weights."""

from __future__ import annotations

import json
import os
import platform
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel

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
from sewdsl.train.store.neuron_populations import Population


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
    """The result that a text of JSON holds.

    Raises:
        RecordError: it holds none; the message says which version wrote it, if the text does.
    """
    try:
        return parse_record(data, Result)
    except RecordError as error:
        wrote = _wrote(data)
        raise RecordError(f"{error}; sewdsl {wrote} wrote it") if wrote else error from None


def _wrote(data: bytes) -> str:
    """The version of sewdsl that a text names; empty where it names none."""
    try:
        wrote = json.loads(data)["versions"]["sewdsl"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return wrote if isinstance(wrote, str) and re.fullmatch(r"[0-9][\w.+-]{0,40}", wrote) else ""


def package_versions() -> dict[str, str]:
    """Of Python and the packages that the numbers depend on."""
    return {
        "python": platform.python_version(),
        **{name: installed_version(name) or UNKNOWN_VERSION for name in PACKAGES},
    }


def describe_machine(device: str) -> str:
    """System, architecture, cores, and the GPUs if these are what ran: ``Linux x86_64, 16 cores, NVIDIA H100``.

    Args:
        device: ``cpu``, ``cuda`` or ``mps``.
    """
    import torch  # tables of runs need none

    parts = [f"{platform.system()} {platform.machine()}", f"{os.cpu_count()} cores"]
    if device == "cuda":
        parts += [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return ", ".join(parts)
