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
"""Figures by name, by epoch counted from 1."""

FIRING_RATE = "firing_rate/"
"""Before a layer's name: spikes per neuron, sample and time-step."""
BY_EVENTS = "by_events/"
"""Before a convolution's name: the share of batches in which it was computed from what is active of its input."""
GRADIENT_NORM = "gradient_norm/"
"""Before a layer's name, or ``total``: Euclidean norm of the gradient of the last batch."""

MAX_FIGURE = 1e100
"""Largest figure that is finite; losses and norms of gradients are in float32, or sums of such."""


def read_metrics(path: Path) -> Epochs:
    """Read a ``metrics.csv``; each epoch has figures, which may be infinite or NaN unless they are shares.

    Raises:
        RunError: If it cannot be read, holds no epoch, or a figure is out of bounds.
    """
    epochs = read_run_file(path, parse_metrics)
    if epochs is None:
        raise RunError(f"cannot read '{path}': {os.strerror(errno.ENOENT)}")
    return epochs


def parse_metrics(data: bytes) -> Epochs:
    """Read the figures in the contents of a ``metrics.csv``.

    Raises:
        RecordError: If it is not UTF-8, a line of it is cut or holds something else than figures, or there is no epoch.
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
                message = f"found {len(row)} values, expected {len(names)}"
                raise RecordError(message)  # noqa: TRY301 -- the line's number goes before it
            texts = dict(zip(names, row, strict=True))
            epoch = _epoch(texts.pop("epoch", ""))
            epochs[epoch] = dict(_figures(texts))
    except (RecordError, csv.Error) as error:
        raise RecordError(f"line {lines.line_num}: {error}") from None
    if not epochs:
        raise RecordError("it holds no epoch")
    return epochs


def _epoch(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_COUNT)) and 1 <= int(text) <= MAX_COUNT:
        return int(text)
    raise RecordError(f"epoch is {quoted(text)}, expected a whole number from 1")


def _figures(texts: dict[str, str]) -> Iterator[tuple[str, float]]:
    for name, text in texts.items():
        if not text:
            continue
        share = name.endswith("_accuracy") or name.startswith((FIRING_RATE, BY_EVENTS))
        most = 1.0 if share else MAX_FIGURE
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value <= most and (share or isfinite(value)):
            raise RecordError(f"{named(name)} is {quoted(text)}, expected a number from 0 to {most:g}")
        yield name, value


def write_metrics(epochs: Epochs, path: Path) -> None:
    """Write a ``metrics.csv``: a row for each epoch, a column for each figure that any epoch has.

    Raises:
        RunError: If it cannot be written.
    """
    names = dict.fromkeys(name for row in epochs.values() for name in row)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["epoch", *names])
    writer.writeheader()
    writer.writerows({"epoch": epoch, **row} for epoch, row in epochs.items())
    write_run_file(path, text.getvalue())


class ConfusionFile(NamedTuple):
    """The contents of ``confusion.json``.

    Attributes:
        classes: Their names in order; of a class without one, its number.
        counts: Row i, column j has how many test samples of class i are taken for class j.
    """

    classes: list[str]
    counts: list[list[int]]


NONE = ConfusionFile([], [])


def write_confusion(path: Path, counts: list[list[int]], names: Sequence[str]) -> None:
    """Write the counts with the classes' names, as far as there are any.

    Raises:
        RunError: If it cannot be written.
    """
    confusion = ConfusionFile(_named(len(counts), names), counts)
    write_run_file(path, json.dumps(confusion._asdict()) + "\n")


def parse_confusion(data: bytes) -> tuple[ConfusionFile, list[str]]:
    """Read what the contents of a file say, and what is wrong with them."""
    fields, wrong = salvage(data, _File)
    counts = fields.get("counts", [])
    return ConfusionFile(_named(len(counts), fields.get("classes", [])), counts), wrong


def _named(count: int, names: Sequence[str]) -> list[str]:
    return [*names[:count], *map(str, range(len(names), count))]


def _square(counts: list[list[int]]) -> list[list[int]]:
    if any(len(row) != len(counts) for row in counts):
        raise ValueError(f"expected {len(counts)} counts in each of its {len(counts)} rows")
    return counts


class _File(BaseModel):
    model_config = STRICT

    classes: list[Text] = []
    counts: Annotated[list[list[Count]], AfterValidator(_square)]


COUNTED_SAMPLES = 16
"""Test samples on which a run counts its operations: ``sewdsl probe energy RUN`` counts on all."""

_Figure = Annotated[float, Field(ge=0, le=1e100)]


class LayerRecord(BaseModel):
    """What a layer computed for one sample, see :class:`sewdsl.analysis.energy.LayerCounts`."""

    model_config = STRICT

    events: _Figure
    accumulations: _Figure
    rate: Share
    largest: _Figure


class EnergyRecord(BaseModel):
    """The contents of ``energy.json``.

    Attributes:
        samples: Test samples that were shown, with the weights of the last epoch.
        of: How many there are.
        sparsity: Share of what neurons gave that was zero.
        layers: Counts of each layer with weights, by the node's name; means over samples.
    """

    model_config = STRICT

    data: Word
    samples: Positive
    of: Count
    sparsity: Share
    layers: dict[Text, LayerRecord]

    def table(self, network: Network) -> EnergyTable | None:
        """Return the whole table, at the usual energies of an operation; None: the counts are of another network."""
        bounds = list(operation_bounds(network))
        if {most.node.name for most in bounds} != set(self.layers):
            return None
        lines = [LayerCounts(most, most.dense, **self.layers[most.node.name].model_dump()) for most in bounds]
        shown = f"{self.samples:,} of {self.of:,}" if self.samples != self.of else f"all {self.of:,}"
        title = (
            f"{network.name}: operations of one sample, T = {network.settings.steps}, after the last epoch, "
            f"on {shown} test samples of {self.data}"
        )
        return EnergyTable(network, title, lines, self.sparsity, EnergyCosts(), MemoryCosts(), trained=True)
