"""Measurements of a run as files: ``metrics.csv``, ``confusion.json`` and ``energy.json``."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, Field

from sewdsl.analysis.energy import EnergyCosts, LayerCounts, MemoryCosts, operation_bounds
from sewdsl.ir.network import Network
from sewdsl.notation.energy_forms import EnergyTable
from sewdsl.train.records import (
    MAX_COUNT,
    STRICT,
    Count,
    Positive,
    RecordError,
    Share,
    Text,
    Word,
    named,
    quoted,
    salvage,
)
from sewdsl.train.store.run_folder import RunError, read_run_file, write_run_file

Epochs = dict[int, dict[str, float]]
"""Metrics by name, by epoch counted from 1."""

FIRING_RATE = "firing_rate/"
"""Prefix of a layer's metric: spikes per neuron, sample and time-step."""
BY_EVENTS = "by_events/"
"""Prefix of a convolution's metric: fraction of batches that its event-driven kernel computed."""
GRADIENT_NORM = "gradient_norm/"
"""Prefix of a layer's metric, or of ``total``: Euclidean norm of the gradient of the last batch."""

MAX_FIGURE = 1e100
"""Largest finite metric. Losses and gradient norms are in float32, or sums of such values."""


def read_metrics(path: Path) -> Epochs:
    """Read a ``metrics.csv``. Metrics may be infinite or NaN, except for fractions.

    Raises:
        RunError: If the file cannot be read, has no epochs, or a metric is out of bounds.
    """
    epochs = read_run_file(path, parse_metrics)
    if epochs is None:
        raise RunError(f"cannot read '{path}': {os.strerror(errno.ENOENT)}")
    return epochs


def parse_metrics(data: bytes) -> Epochs:
    """Parse the contents of a ``metrics.csv``.

    Raises:
        RecordError: If the text is not UTF-8, a line is truncated or has invalid values, or there are no epochs.
    """
    epochs: Epochs = {}
    try:
        lines = csv.reader(io.StringIO(data.decode(), newline=""))
    except UnicodeDecodeError as error:
        raise RecordError(str(error)) from None
    try:
        names = next(lines, [])
        for row in lines:
            if len(row) != len(names):
                message = f"expected {len(names)} values, got {len(row)}"
                raise RecordError(message)  # noqa: TRY301 -- the number of the line is added below
            texts = dict(zip(names, row, strict=True))
            epoch = _epoch(texts.pop("epoch", ""))
            epochs[epoch] = dict(_figures(texts))
    except (RecordError, csv.Error) as error:
        raise RecordError(f"line {lines.line_num}: {error}") from None
    if not epochs:
        raise RecordError("the file has no epochs")
    return epochs


def _epoch(text: str) -> int:
    # int() also accepts signs, underscores and other digits, and is slow for long texts.
    if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_COUNT)) and 1 <= int(text) <= MAX_COUNT:
        return int(text)
    raise RecordError(f"epoch is {quoted(text)}, expected an integer from 1")


def _figures(texts: dict[str, str]) -> Iterator[tuple[str, float]]:
    for name, text in texts.items():
        if not text:
            continue  # Another epoch has this metric.
        is_fraction = name.partition(".")[0].endswith("_accuracy") or name.startswith((FIRING_RATE, BY_EVENTS))
        largest = 1.0 if is_fraction else MAX_FIGURE
        try:
            value = float(text)
        except ValueError:
            # Rejected below, with the message for all invalid values.
            value = -1.0
        if not 0 <= value <= largest and (is_fraction or isfinite(value)):
            raise RecordError(f"{named(name)} is {quoted(text)}, expected a number from 0 to {largest:g}")
        yield name, value


def write_metrics(epochs: Epochs, path: Path) -> None:
    """Write a ``metrics.csv`` with a row per epoch, and a column for each metric of any epoch.

    Raises:
        RunError: If the file cannot be written.
    """
    # Epochs may differ in their metrics, for example because of callbacks.
    names = dict.fromkeys(name for row in epochs.values() for name in row)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["epoch", *names])
    writer.writeheader()
    writer.writerows({"epoch": epoch, **row} for epoch, row in epochs.items())
    write_run_file(path, text.getvalue())


class ConfusionFile(NamedTuple):
    """Contents of ``confusion.json``."""

    classes: list[str]
    """Names of the classes in order, or the number of a class without a name."""
    counts: list[list[int]]
    """Row i, column j: number of test samples of class i that are classified as j."""


NONE = ConfusionFile([], [])


def write_confusion(path: Path, counts: list[list[int]], names: Sequence[str]) -> None:
    """Write a confusion matrix with the names of the classes.

    Args:
        names: Names of the classes. Missing names are replaced by numbers.

    Raises:
        RunError: If the file cannot be written.
    """
    confusion = ConfusionFile(_complete_names(len(counts), names), counts)
    write_run_file(path, json.dumps(confusion._asdict()) + "\n")


def parse_confusion(data: bytes) -> tuple[ConfusionFile, list[str]]:
    """Parse the contents of a file into the valid part, and messages about invalid fields."""
    fields, problems = salvage(data, _File)
    counts = fields.get("counts", [])
    return ConfusionFile(_complete_names(len(counts), fields.get("classes", [])), counts), problems


def _complete_names(count: int, names: Sequence[str]) -> list[str]:
    return [*names[:count], *map(str, range(len(names), count))]


def _square(counts: list[list[int]]) -> list[list[int]]:
    if any(len(row) != len(counts) for row in counts):
        raise ValueError(f"expected {len(counts)} counts in each of {len(counts)} rows")
    return counts


class _File(BaseModel):
    model_config = STRICT

    classes: list[Text] = []
    counts: Annotated[list[list[Count]], AfterValidator(_square)]


COUNTED_SAMPLES = 16
"""Number of test samples for the counts of a run. ``sewdsl probe energy RUN`` uses all samples."""

_Figure = Annotated[float, Field(ge=0, le=1e100)]


class LayerRecord(BaseModel):
    """Operations of a layer per sample, see :class:`sewdsl.analysis.energy.LayerCounts`."""

    model_config = STRICT

    events: _Figure
    accumulations: _Figure
    rate: Share
    largest: _Figure


class EnergyRecord(BaseModel):
    """Contents of ``energy.json``."""

    model_config = STRICT

    data: Word
    samples: Positive
    """Number of test samples used, with the weights of the last epoch."""
    of: Count
    """Total number of test samples."""
    sparsity: Share
    """Fraction of zeros in the outputs of neurons."""
    layers: dict[Text, LayerRecord]
    """Counts of each layer with weights by node name, averaged over samples."""

    def table(self, network: Network) -> EnergyTable | None:
        """Return the energy table with default costs, or None if the counts do not fit the network."""
        bounds = list(operation_bounds(network))
        if {most.node.name for most in bounds} != set(self.layers):
            return None
        lines = [LayerCounts(most, most.dense, **self.layers[most.node.name].model_dump()) for most in bounds]
        sample_text = f"{self.samples:,} of {self.of:,}" if self.samples != self.of else f"all {self.of:,}"
        title = (
            f"{network.name}: operations of one sample, T = {network.settings.steps}, after the last epoch, "
            f"on {sample_text} test samples of {self.data}"
        )
        return EnergyTable(network, title, lines, self.sparsity, EnergyCosts(), MemoryCosts(), trained=True)
