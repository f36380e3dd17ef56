"""The figures of each epoch, as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path

from sewdsl.train import atomic
from sewdsl.train.folder import RunError
from sewdsl.train.records import MAX_COUNT, RecordError, contents, named, quoted
from sewdsl.train.watch.names import FIRING_RATE

Epochs = dict[int, dict[str, float]]
"""Figures by name, by epoch counted from 1."""

MAX_FIGURE = 1e100
"""Largest figure that is finite; losses and norms of gradients are in float32, or sums of such."""


def read_metrics(path: Path) -> Epochs:
    """Reads a ``metrics.csv``; each epoch has figures, which may be infinite or NaN unless they are shares.

    Raises:
        RunError: it cannot be read, holds no epoch, or a figure is out of bounds.
    """
    try:
        return parse_metrics(contents(path))
    except OSError as error:
        message = f"cannot read '{path}': {error.strerror}"
        raise RunError(message) from None
    except RecordError as error:
        message = f"'{path}' is damaged: {error}"
        raise RunError(message) from None


def parse_metrics(data: bytes) -> Epochs:
    """The figures in the contents of a ``metrics.csv``.

    Raises:
        RecordError: as :func:`epochs`.
    """
    found: Epochs = {}
    try:
        lines = csv.reader(io.StringIO(data.decode(), newline=""))
    except UnicodeDecodeError as error:
        raise RecordError(str(error)) from None
    try:
        names = next(lines, [])
        for row in lines:
            texts = dict(_pairs(names, row))
            epoch = _epoch(texts.pop("epoch", ""))
            found[epoch] = dict(_figures(texts))
    except (RecordError, csv.Error) as error:
        message = f"line {lines.line_num}: {error}"
        raise RecordError(message) from None
    if not found:
        message = "it holds no epoch"
        raise RecordError(message)
    return found


def _pairs(names: Sequence[str], row: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(row) != len(names):
        message = f"found {len(row)} values, expected {len(names)}"
        raise RecordError(message)
    return zip(names, row, strict=True)


def _epoch(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_COUNT)) and 1 <= int(text) <= MAX_COUNT:
        return int(text)
    message = f"epoch is {quoted(text)}, expected a whole number from 1"
    raise RecordError(message)


def _figures(texts: dict[str, str]) -> Iterator[tuple[str, float]]:
    for name, text in texts.items():
        if not text:
            continue
        share = name.endswith("_accuracy") or name.startswith(FIRING_RATE)
        most = 1.0 if share else MAX_FIGURE
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value <= most and (share or isfinite(value)):
            message = f"{named(name)} is {quoted(text)}, expected a number from 0 to {most:g}"
            raise RecordError(message)
        yield name, value


def write_metrics(found: Epochs, path: Path) -> None:
    """Writes a ``metrics.csv``: a row for each epoch, a column for each figure that any epoch has.

    Raises:
        RunError: it cannot be written.
    """
    names = dict.fromkeys(name for row in found.values() for name in row)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["epoch", *names])
    writer.writeheader()
    writer.writerows({"epoch": epoch, **row} for epoch, row in found.items())
    atomic.write_text_atomically(path, text.getvalue())
