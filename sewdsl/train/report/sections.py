"""Sections of a report as data for its templates: firing rates of layers, histograms of neurons, confused classes."""

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
from sewdsl.train.store.measurements import ConfusionFile
from sewdsl.train.store.result import DEAD, EDGES, SATURATED, Population
from sewdsl.train.store.run_record import RunRecord

MAX_LAYERS = 40
"""More are folded away."""


class RateRow(NamedTuple):
    """A layer: its rate, how wide its bar is in percent, and the points of its way there, if there are several."""

    layer: str
    state: str
    rate: str
    width: str
    way: str


class FiringSection(NamedTuple):
    """The firing rates of all layers, and what there is to say of those that are dead or saturated.

    ``dead`` and ``saturated`` begin a sentence, or are empty; where there are many layers, ``first`` are shown, and
    all are folded under a line.
    """

    tested: bool
    rows: list[RateRow]
    dead: str
    identity: bool
    silence: bool
    saturated: str
    folded: str
    first: list[RateRow]


def firing_section(facts: RunRecord) -> FiringSection | None:
    """Return a bar for each layer with its way there; None where no rate is known."""
    rates = facts.firing_rates
    if not rates:
        return None
    scale = max(*rates.values(), DEAD)
    epochs = [facts.rates(epoch) for epoch in facts.epochs]
    rows = [
        RateRow(
            layer=name,
            state=kind(rate),
            rate=f"{rate:.2%}",
            width=f"{100 * rate / scale:.2f}",
            way=_way([row[name] for row in epochs if name in row], scale),
        )
        for name, rate in rates.items()
    ]
    dead = [row.layer for row in rows if row.state == "dead"]
    neutral = neutral_branches(facts.network, dead)
    low, high = min(rates, key=rates.__getitem__), max(rates, key=rates.__getitem__)
    summary = f"all {len(rows)} layers, from {rates[low]:.2%} ({low}) to {rates[high]:.2%} ({high})"
    many = len(rows) > MAX_LAYERS
    return FiringSection(
        tested=bool(facts.result.get("firing_rates")),
        rows=rows,
        dead=_count(dead),
        identity=0 in neutral,
        silence=bool(neutral - {0}),
        saturated=_count([row.layer for row in rows if row.state == "saturated"]),
        folded=summary if many else "",
        first=[row for row in rows if row.state] if many else [],
    )


def kind(rate: float) -> str:
    """Return ``dead``, ``saturated``, or nothing to worry about."""
    return "dead" if rate < DEAD else "saturated" if rate > SATURATED else ""


def _way(history: list[float], scale: float) -> str:
    """Return points of a line of 64 by 16 units, all layers to one scale."""
    if len(history) < 2:  # noqa: PLR2004 -- a point is no line
        return ""
    step = 64 / (len(history) - 1)
    top = max(scale, *history)
    return " ".join(f"{index * step:.1f},{15 - 14 * rate / top:.1f}" for index, rate in enumerate(history))


def _count(names: list[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} fires"
    return f"{len(names)} layers fire" if names else ""


def neutral_branches(network: Network | None, names: Iterable[str]) -> set[int]:
    """Return what makes an identity of each join whose branch ends in one of these layers."""
    branches = {index for index, node in enumerate(network or ()) if node.name in names}
    if network is None:
        return set()
    joins = (node for index, node in enumerate(network) if is_residual(network, index) and node.inputs[0] in branches)
    return {node.op.neutral_branch for node in joins if isinstance(node.op, Join)}


NOTABLE_SHARE = 0.1
"""A share of the neurons, the channels or the places of a layer from which on there is something to say."""


class Unusual(NamedTuple):
    """Layers with many constant channels; ``current`` is what sets their current, as the subject of a sentence."""

    names: str
    current: str
    identity: bool


class Bin(NamedTuple):
    """One bar of a histogram; its count is said where the mouse is."""

    said: str
    x: int
    y: str
    height: str
    end: bool


class Histogram(NamedTuple):
    """How many neurons of a layer fire how often; what is said of both ends, and whether it is much."""

    layer: str
    size: str
    title: str
    bars: list[Bin]
    ends: dict[str, bool]


class NeuronsSection(NamedTuple):
    """A histogram of each layer, and the kinds of trouble that many neurons are in; folded as the firing rates are."""

    silent: Unusual | None
    saturated: Unusual | None
    always: str
    places: str
    scattered: str
    histograms: list[Histogram]
    folded: str
    first: list[Histogram]


def neurons_section(facts: RunRecord) -> NeuronsSection | None:
    """Return the section, or None where neurons were not counted.

    Nothing more is said of layers that hardly fire as a whole, or always; of the others, the worst come first.
    """
    populations = facts.populations
    if not populations:
        return None
    rates, network = facts.firing_rates, facts.network
    worst = sorted(populations, key=lambda name: -populations[name].dead_share - populations[name].saturated_share)
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
    drawn = {name: _histogram(name, layer) for name, layer in populations.items()}
    many = len(populations) > MAX_LAYERS
    neurons = sum(layer.neurons for layer in populations.values())
    dead = sum(layer.dead for layer in populations.values())
    summary = f"all {len(populations)} layers: of {neurons:,} neurons, {format_share(dead / neurons)} never fire"
    return NeuronsSection(
        silent=_unusual(silent, network, 0),
        saturated=_unusual(_notable(saturated), network, 1),
        always=f"{sum(layers[name].always for name in _notable(saturated)):,}",
        places=join_names(places),
        scattered=join_names(_notable(scattered)),
        histograms=list(drawn.values()),
        folded=summary if many else "",
        first=[drawn[name] for name in notable[:MAX_HISTOGRAMS]] if many else [],
    )


def _notable(shares: Mapping[str, float]) -> dict[str, str]:
    return {name: format_share(part) for name, part in shares.items() if part >= NOTABLE_SHARE}


def _unusual(names: Mapping[str, str], network: Network | None, constant: int) -> Unusual | None:
    if not names:
        return None
    return Unusual(join_names(names), _current(names, network), constant in neutral_branches(network, names))


def _current(names: Mapping[str, str], network: Network | None) -> str:
    if network is None:
        return "What comes before them"
    sources = [network.nodes[node.inputs[0]].op for node in network if node.name in names and node.inputs]
    normed = [isinstance(source, Norm) for source in sources]
    if all(normed):
        return "The bias of the batch norm before them"
    return "The bias of a batch norm, or the weights," if any(normed) else "The weights, with no batch norm to help,"


MAX_HISTOGRAMS = 6
"""Layers that are shown, at most, where all of them are folded away."""
PITCH, TALL = 14, 52
"""From one bar to the next, and the highest bar, in units of the picture, whose axis ``neurons.html`` has."""


def _histogram(name: str, layer: Population) -> Histogram:
    """Return bars of 15 bins, the highest as high as the picture."""
    ends = {"never fire": layer.dead_share, f"over {SATURATED:.0%}": layer.saturated_share}
    return Histogram(
        layer=name,
        size="x".join(map(str, layer.shape)),
        title=f"of {layer.neurons:,} neurons, {layer.dead:,} never fire and {layer.saturated:,} nearly always",
        bars=[_bin(index, count, layer) for index, count in enumerate(layer.bins) if count],
        ends={f"{format_share(part)} {what}": part >= NOTABLE_SHARE for what, part in ends.items()},
    )


def _bin(index: int, count: int, layer: Population) -> Bin:
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
"""More are counted, not named."""
MIN_SHOWN_SHARE = 0.0005
"""Shares below this one would be rounded to nothing."""


def format_share(part: float) -> str:
    """Return a share to a tenth of a percent; ``none`` and ``all`` where it is exactly that."""
    if part in {0, 1}:
        return "all" if part else "none"
    if part < MIN_SHOWN_SHARE:
        return "<0.1%"
    return ">99.9%" if part > 1 - MIN_SHOWN_SHARE else f"{part:.1%}"


def join_names(said: Mapping[str, str]) -> str:
    """Return a text such as ``plif1 (4 of 32), plif2 (3 of 32) and 12 more layers``."""
    first = [f"{name} ({what})" for name, what in list(said.items())[:MAX_NAMES]]
    more = len(said) - len(first)
    return ", ".join(first) + (f" and {more} more layer{'s' if more > 1 else ''}" if more else "")


MAX_TABLE_CLASSES = 30
"""A table of more is too wide to read."""
MAX_MISTAKES = 5
"""Confusions that are named, at most."""

Counts = list[list[int]]


class Cell(NamedTuple):
    """A count, and what its colour says: ``right`` or ``wrong``, and how large a share of the class it is."""

    samples: str
    looks: str = ""
    share: str = ""


class ClassRow(NamedTuple):
    """A class, how many of its samples are found, and what they are taken for."""

    name: str
    samples: int
    recall: str
    cells: list[Cell]


class ConfusionSection(NamedTuple):
    """A table of the classes or, where there are many, a picture of it as PNG in base64; long names stand upright."""

    samples: int
    rows: list[ClassRow]
    upright: bool
    picture: str
    mistakes: str


def confusion_section(confusions: ConfusionFile) -> ConfusionSection | None:
    """Return the classes and what is confused most; None where nothing was counted."""
    classes, counts = confusions
    total = sum(map(sum, counts))
    if not total:
        return None
    few = len(counts) <= MAX_TABLE_CLASSES
    rows = [
        ClassRow(
            name=classes[label],
            samples=sum(row),
            recall=f"{row[label] / sum(row):.1%}" if sum(row) else "–",
            cells=[_cell(count, sum(row), right=label == column) for column, count in enumerate(row)] if few else [],
        )
        for label, row in enumerate(counts)
    ]
    upright = max(map(len, classes)) > 3  # noqa: PLR2004 -- digits
    return ConfusionSection(total, rows, upright, "" if few else _picture(counts), _mistakes(classes, counts))


def _cell(count: int, total: int, *, right: bool) -> Cell:
    """Return a count: the stronger its colour, the larger its share. Few mistakes are made visible by a root."""
    if not count:
        return Cell("")
    share = count / total if right else sqrt(count / total)
    looks = ("right" if right else "wrong") + (" strong" if share > 0.55 else "")  # noqa: PLR2004 -- needs light text
    return Cell(str(count), looks, f"{share:.3f}")


def _picture(counts: Counts) -> str:
    """Draw a pixel, or a square of them, for each pair of classes."""
    matrix = np.asarray(counts, dtype=float)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = max(1, 600 // len(counts))
    out = io.BytesIO()
    imsave(out, np.kron(np.sqrt(shares), np.ones((side, side))), cmap="Blues", vmin=0, vmax=1, format="png")
    return b64encode(out.getvalue()).decode("ascii")


def _mistakes(classes: list[str], counts: Counts) -> str:
    mistakes = [
        (count, true, found)
        for true, row in enumerate(counts)
        for found, count in enumerate(row)
        if count and true != found
    ]
    worst = sorted(mistakes, key=lambda mistake: -mistake[0])[:MAX_MISTAKES]
    return ", ".join(
        f"{classes[true]} taken for {classes[found]} ({count} of {sum(counts[true])})" for count, true, found in worst
    )
