"""Sections of the report as data for its templates: firing rates, histograms of neurons, confusion matrix."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterable, Mapping
from math import sqrt
from typing import NamedTuple

import numpy as np
from matplotlib.image import imsave

from sewdsl.analysis.residual_blocks import is_residual
from sewdsl.ir.network import Network
from sewdsl.ir.op import Join
from sewdsl.ops.layers.norms import Norm
from sewdsl.train.report.run_facts import begin_of_rounding
from sewdsl.train.store.measurements import ConfusionFile
from sewdsl.train.store.result import DEAD, EDGES, SATURATED, Population
from sewdsl.train.store.run_record import RunRecord

MAX_LAYERS = 40
"""Maximum number of layers in an open list. Longer lists are collapsed."""


class RateRow(NamedTuple):
    """Firing rate of a layer: width of the bar in percent, and points of the line over epochs (empty for one epoch).

    ``before`` is the rate before weights were rounded, or empty.
    """

    layer: str
    state: str
    rate: str
    before: str
    width: str
    trend: str


class FiringSection(NamedTuple):
    """Firing rates of all layers, and messages about dead or saturated layers.

    ``begin`` is the last epoch before weights were rounded, if rates of this epoch are shown, or 0.
    ``dead`` and ``saturated`` are the start of a sentence, or empty. If there are many layers, ``first`` has the
    notable ones, and all layers are collapsed under the line ``folded``.
    """

    tested: bool
    begin: int
    rows: list[RateRow]
    dead: str
    identity: bool
    silence: bool
    saturated: str
    folded: str
    first: list[RateRow]


def firing_section(facts: RunRecord) -> FiringSection | None:
    """Return the rates of all layers, or None if no rate is known."""
    rates = facts.firing_rates
    if not rates:
        return None
    # If all layers are silent, their bars must not fill the width.
    scale = max(*rates.values(), DEAD)
    epochs = [facts.rates(epoch) for epoch in facts.epochs]
    begin = begin_of_rounding(facts)
    before = facts.rates(begin) if begin in facts.epochs else {}
    rows = [
        RateRow(
            layer=name,
            state=kind(rate),
            rate=f"{rate:.2%}",
            before=f"{before[name]:.2%}" if name in before else "",
            width=f"{100 * rate / scale:.2f}",
            trend=_trend([row[name] for row in epochs if name in row], scale),
        )
        for name, rate in rates.items()
    ]
    dead = [row.layer for row in rows if row.state == "dead"]
    neutral = neutral_branches(facts.network, dead)
    low, high = min(rates, key=rates.__getitem__), max(rates, key=rates.__getitem__)
    summary = f"all {len(rows)} layers, from {rates[low]:.2%} ({low}) to {rates[high]:.2%} ({high})"
    is_long = len(rows) > MAX_LAYERS
    return FiringSection(
        tested=bool(facts.result.get("firing_rates")),
        begin=begin if before else 0,
        rows=rows,
        dead=_count(dead),
        identity=0 in neutral,
        silence=bool(neutral - {0}),
        saturated=_count([row.layer for row in rows if row.state == "saturated"]),
        folded=summary if is_long else "",
        first=[row for row in rows if row.state] if is_long else [],
    )


def kind(rate: float) -> str:
    """Return ``dead``, ``saturated``, or an empty string for a normal rate."""
    return "dead" if rate < DEAD else "saturated" if rate > SATURATED else ""


def _trend(history: list[float], scale: float) -> str:
    """Return the points of a polyline of 64 by 16 units, with a common scale for all layers."""
    if len(history) < 2:  # noqa: PLR2004 -- a line needs two points
        return ""
    step = 64 / (len(history) - 1)
    top = max(scale, *history)
    return " ".join(f"{index * step:.1f},{15 - 14 * rate / top:.1f}" for index, rate in enumerate(history))


def _count(names: list[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} fires"
    return f"{len(names)} layers fire" if names else ""


def neutral_branches(network: Network | None, names: Iterable[str]) -> set[int]:
    """Return the neutral branch of each join whose branch ends in one of the layers."""
    branches = {index for index, node in enumerate(network or ()) if node.name in names}
    if network is None:
        return set()
    joins = (node for index, node in enumerate(network) if is_residual(network, index) and node.inputs[0] in branches)
    return {node.op.neutral_branch for node in joins if isinstance(node.op, Join)}


NOTABLE_SHARE = 0.1
"""Minimum fraction of neurons, channels or positions of a layer that is reported."""


class Unusual(NamedTuple):
    """Layers with many constant channels, and their cause ``current`` as the subject of a sentence."""

    names: str
    current: str
    identity: bool


class Bin(NamedTuple):
    """Bar of a histogram, with its tooltip."""

    label: str
    x: int
    y: str
    height: str
    end: bool


class Histogram(NamedTuple):
    """Histogram of the firing rates of a layer, with a text for each outer bar and whether it is notable."""

    layer: str
    size: str
    title: str
    bars: list[Bin]
    ends: dict[str, bool]


class NeuronsSection(NamedTuple):
    """Histogram of each layer, and notable kinds of layers, collapsed as the firing rates are."""

    silent: Unusual | None
    saturated: Unusual | None
    always: str
    places: str
    scattered: str
    histograms: list[Histogram]
    folded: str
    first: list[Histogram]


def neurons_section(facts: RunRecord) -> NeuronsSection | None:
    """Return the section, or None if neurons were not counted."""
    populations = facts.populations
    if not populations:
        return None
    rates, network = facts.firing_rates, facts.network
    # The worst layers come first.
    worst = sorted(populations, key=lambda name: -populations[name].dead_share - populations[name].saturated_share)
    # Layers with a dead or saturated mean rate are in the section on firing rates.
    layers = {name: populations[name] for name in worst if not (name in rates and kind(rates[name]))}
    silent = {
        name: f"{layer.dead_channels} of {layer.shape[0]} {'channels' if layer.shape[1:] else 'neurons'}"
        for name, layer in layers.items()
        if layer.dead_channels / layer.shape[0] >= NOTABLE_SHARE
    }
    saturated = {name: layer.saturated_share for name, layer in layers.items()}
    places = {
        name: f"{layer.dead_places} of {layer.places}"
        for name, layer in layers.items()
        if layer.dead_places / layer.places >= NOTABLE_SHARE
    }
    scattered = {name: layer.scattered_dead / layer.neurons for name, layer in layers.items()}
    notable = [
        name for name in worst if max(populations[name].dead_share, populations[name].saturated_share) >= NOTABLE_SHARE
    ]
    histograms = {name: _histogram(name, layer) for name, layer in populations.items()}
    is_long = len(populations) > MAX_LAYERS
    neurons = sum(layer.neurons for layer in populations.values())
    dead = sum(layer.dead for layer in populations.values())
    summary = f"all {len(populations)} layers: of {neurons:,} neurons, {format_share(dead / neurons)} never fire"
    return NeuronsSection(
        silent=_unusual(silent, network, 0),
        saturated=_unusual(_notable(saturated), network, 1),
        always=f"{sum(layers[name].always for name in _notable(saturated)):,}",
        places=join_names(places),
        scattered=join_names(_notable(scattered)),
        histograms=list(histograms.values()),
        folded=summary if is_long else "",
        first=[histograms[name] for name in notable[:MAX_HISTOGRAMS]] if is_long else [],
    )


def _notable(shares: Mapping[str, float]) -> dict[str, str]:
    return {name: format_share(part) for name, part in shares.items() if part >= NOTABLE_SHARE}


def _unusual(names: Mapping[str, str], network: Network | None, constant: int) -> Unusual | None:
    if not names:
        return None
    return Unusual(join_names(names), _current(names, network), constant in neutral_branches(network, names))


def _current(names: Mapping[str, str], network: Network | None) -> str:
    if network is None:
        return "Their input"
    sources = [network.nodes[node.inputs[0]].op for node in network if node.name in names and node.inputs]
    normed = [isinstance(source, Norm) for source in sources]
    if all(normed):
        return "The bias of the batch norm before them"
    return "The bias of a batch norm, or the weights," if any(normed) else "The weights, without a batch norm,"


MAX_HISTOGRAMS = 6
"""Maximum number of open histograms above a collapsed list."""
PITCH, TALL = 14, 52
"""Distance between bars, and height of the highest bar, in units of the SVG element in ``neurons.html``."""


def _histogram(name: str, layer: Population) -> Histogram:
    """Return a histogram with 15 bins, scaled to its highest bar."""
    ends = {"never fire": layer.dead_share, f"over {SATURATED:.0%}": layer.saturated_share}
    return Histogram(
        layer=name,
        size="x".join(map(str, layer.shape)),
        title=f"{layer.neurons:,} neurons: {layer.dead:,} never fire, {layer.saturated:,} fire nearly always",
        bars=[_bin(index, count, layer) for index, count in enumerate(layer.bins) if count],
        ends={f"{format_share(part)} {text}": part >= NOTABLE_SHARE for text, part in ends.items()},
    )


def _bin(index: int, count: int, layer: Population) -> Bin:
    # A bin with few neurons must be visible.
    height = max(1.0, TALL * count / max(layer.bins))
    low = 0 if index <= 1 else 100 * EDGES[index - 2]
    if index == 0:
        rates = "never"
    elif index > len(EDGES):
        rates = f"over {low:g}%"
    else:
        rates = f"over {low:g}{'%' if low else ''} to {100 * EDGES[index - 1]:g}%"
    label = f"{rates}: {count:,} neuron{'s' if count > 1 else ''}, {format_share(count / layer.neurons)}"
    return Bin(label, PITCH * index + 1, f"{TALL + 1 - height:.1f}", f"{height:.1f}", end=not 0 < index <= len(EDGES))


MAX_NAMES = 5
"""Maximum number of layer names in a list."""
MIN_SHOWN_SHARE = 0.0005
"""Smallest fraction that is not rounded to 0.0%."""


def format_share(part: float) -> str:
    """Format a fraction as a percentage with one decimal. ``none`` and ``all`` are exact."""
    if part in {0, 1}:
        return "all" if part else "none"
    if part < MIN_SHOWN_SHARE:
        return "<0.1%"
    return ">99.9%" if part > 1 - MIN_SHOWN_SHARE else f"{part:.1%}"


def join_names(details: Mapping[str, str]) -> str:
    """Return a text such as ``plif1 (4 of 32), plif2 (3 of 32) and 12 more layers``."""
    first = [f"{name} ({detail})" for name, detail in list(details.items())[:MAX_NAMES]]
    more = len(details) - len(first)
    return ", ".join(first) + (f" and {more} more layer{'s' if more > 1 else ''}" if more else "")


MAX_TABLE_CLASSES = 30
"""Maximum number of classes in a table. Larger matrices are drawn as an image."""
MAX_MISTAKES = 5
"""Maximum number of listed confusions."""

Counts = list[list[int]]


class Cell(NamedTuple):
    """Count of a confusion matrix, with its style ``right`` or ``wrong`` and its fraction of the class."""

    samples: str
    looks: str = ""
    share: str = ""


class ClassRow(NamedTuple):
    """Class with its number of samples, its recall, and the counts by predicted class."""

    name: str
    samples: int
    recall: str
    cells: list[Cell]


class ConfusionSection(NamedTuple):
    """Confusion matrix as a table, or as a PNG in base64 for many classes. ``upright`` rotates long names."""

    samples: int
    rows: list[ClassRow]
    upright: bool
    picture: str
    mistakes: str


def confusion_section(confusions: ConfusionFile) -> ConfusionSection | None:
    """Return the confusion matrix and its most frequent mistakes, or None if nothing was counted."""
    classes, counts = confusions
    total = sum(map(sum, counts))
    if not total:
        return None
    is_table = len(counts) <= MAX_TABLE_CLASSES
    rows = [
        ClassRow(
            name=classes[label],
            samples=sum(row),
            recall=f"{row[label] / sum(row):.1%}" if sum(row) else "–",
            cells=[_cell(count, sum(row), right=label == column) for column, count in enumerate(row)]
            if is_table
            else [],
        )
        for label, row in enumerate(counts)
    ]
    upright = max(map(len, classes)) > 3  # noqa: PLR2004 -- digits
    return ConfusionSection(total, rows, upright, "" if is_table else _picture(counts), _mistakes(classes, counts))


def _cell(count: int, total: int, *, right: bool) -> Cell:
    """Return a cell with a colour by its fraction of the class."""
    if not count:
        return Cell("")
    # The square root makes a small number of mistakes visible.
    share = count / total if right else sqrt(count / total)
    looks = ("right" if right else "wrong") + (" strong" if share > 0.55 else "")  # noqa: PLR2004 -- needs light text
    return Cell(str(count), looks, f"{share:.3f}")


def _picture(counts: Counts) -> str:
    """Draw the matrix with a square of pixels per pair of classes."""
    matrix = np.asarray(counts, dtype=float)
    # The lower bound avoids a division by zero for classes without samples.
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = max(1, 600 // len(counts))
    out = io.BytesIO()
    imsave(out, np.kron(np.sqrt(shares), np.ones((side, side))), cmap="Blues", vmin=0, vmax=1, format="png")
    return b64encode(out.getvalue()).decode("ascii")


def _mistakes(classes: list[str], counts: Counts) -> str:
    mistakes = [
        (count, true, predicted)
        for true, row in enumerate(counts)
        for predicted, count in enumerate(row)
        if count and true != predicted
    ]
    worst = sorted(mistakes, key=lambda mistake: -mistake[0])[:MAX_MISTAKES]
    return ", ".join(
        f"{classes[true]} classified as {classes[predicted]} ({count} of {sum(counts[true])})"
        for count, true, predicted in worst
    )
