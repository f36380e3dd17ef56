"""The pictures of a study: curves over the epochs, and accuracies over what was varied in numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, ScalarFormatter

from sewdsl.elaborate.study_section import VARIANT
from sewdsl.ir.printed_values import escape_mathtext
from sewdsl.train.store import measurements
from sewdsl.train.store.run_folder import RunFolder
from sewdsl.train.study import search_plot
from sewdsl.train.study.outcome import Outcome, StudyFolder, VariantResult
from sewdsl.train.study.repeats import Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {"train_loss": "training loss", "train_accuracy": "training accuracy", "test_accuracy": "test accuracy"}
"""Those of the paper's Figures 9 and 10, by the name of the figure in ``metrics.csv``."""
DASHES = ("-", "--", ":", "-.")
SELF_EXPLANATORY_AXES = (VARIANT, "block", "join")
"""Axes whose values speak for themselves."""
MIN_TREND_VALUES = 3
"""Least number of values that make a line."""
LOG_AXIS_RATIO = 8
"""Ratio of the largest to the smallest number from which on their axis is logarithmic."""


class Look(NamedTuple):
    """How the lines of one variant look."""

    colour: tuple[float, ...]
    dash: str
    label: str


def draw(outcome: Outcome, folder: StudyFolder) -> None:
    """Writes ``curves.png``, and ``trend.png`` where an axis is one of numbers; of a search, ``search.png`` alone."""
    if outcome.search is not None:
        search_plot.draw(outcome, outcome.search, folder.search)
        return
    _curves(outcome, folder)
    axis = numeric(outcome)
    if axis is not None:
        _trend(outcome, axis, folder)


def numeric(outcome: Outcome) -> str | None:
    """The first axis on which there are three numbers or more, and nothing else."""
    for axis in outcome.axes:
        labels = {row.labels[axis] for row in outcome.rows}
        if len(labels) >= MIN_TREND_VALUES and all(_number(label) is not None for label in labels):
            return axis
    return None


def _number(label: str) -> float | None:
    try:
        return float(label)
    except ValueError:
        return None


def _said(axis: str, label: str) -> str:
    """A value that speaks for itself, or after the last word of its key: ``SEW AND``, ``T_train none``."""
    head, *rest = axis.split(".")
    return label if head in SELF_EXPLANATORY_AXES else f"{rest[-1] if rest else head} {label}"


def _looks(rows: Sequence[dict[str, str]]) -> list[Look]:
    """A colour for each value of the first axis and a dash for each of the second; of more axes, a colour each."""
    labels = [", ".join(itertools.starmap(_said, row.items())) or "as written" for row in rows]
    keys = [list(row.values()) for row in rows]
    two = bool(keys) and len(keys[0]) == len(("colour", "dash")) and len({key[1] for key in keys}) <= len(DASHES)
    first = list(dict.fromkeys(key[0] if two else label for key, label in zip(keys, labels, strict=True)))
    second = list(dict.fromkeys(key[1] for key in keys)) if two else []
    colours = colormaps["tab10" if len(first) <= colormaps["tab10"].N else "tab20"]
    return [
        Look(
            colours(first.index(key[0] if two else label) % colours.N),
            DASHES[second.index(key[1])] if two else "-",
            escape_mathtext(label),
        )
        for key, label in zip(keys, labels, strict=True)
    ]


def _curves(outcome: Outcome, folder: StudyFolder) -> None:
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    figure.suptitle(escape_mathtext(outcome.title))
    panels = figure.subplots(1, len(PANELS))
    for row, look in zip(outcome.rows, _looks([row.labels for row in outcome.rows]), strict=True):
        runs = [
            measurements.read_metrics(RunFolder(folder.path / row.folder / f"seed-{seed}").metrics)
            for seed in row.seeds
        ]
        for axes, name in zip(panels, PANELS, strict=True):
            _band(axes, [{epoch: line[name] for epoch, line in run.items() if name in line} for run in runs], look)
    for axes, (name, title) in zip(panels, PANELS.items(), strict=True):
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        if name.endswith("accuracy"):
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        else:
            axes.set_ylim(bottom=0)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize="small")
    figure.savefig(folder.curves, dpi=130)


def _band(axes: Axes, runs: Sequence[dict[int, float]], look: Look) -> None:
    """The mean over the seeds, and from the lowest to the highest where there are several."""
    common = sorted(set.intersection(*(set(run) for run in runs))) if runs else []
    values = [[run[epoch] for run in runs] for epoch in common]
    axes.plot(common, list(map(fmean, values)), color=look.colour, linestyle=look.dash, label=look.label)
    if len(runs) > 1:
        axes.fill_between(common, list(map(min, values)), list(map(max, values)), color=look.colour, alpha=0.12)


def _trend(outcome: Outcome, axis: str, folder: StudyFolder) -> None:
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    figure.suptitle(escape_mathtext(outcome.title))
    panels = figure.subplots(1, 2, sharey=True)
    kinds: list[tuple[str, Callable[[VariantResult], Spread | None]]] = [
        ("training accuracy in the last epoch", lambda row: row.train_accuracy),
        ("test accuracy after the last epoch", lambda row: row.accuracy),
    ]
    rest = [{name: text for name, text in row.labels.items() if name != axis} for row in outcome.rows]
    lines = [dict(line) for line in dict.fromkeys(tuple(row.items()) for row in rest)]
    for axes, (title, figure_of) in zip(panels, kinds, strict=True):
        for line, look in zip(lines, _looks(lines), strict=True):
            rows = [row for row, other in zip(outcome.rows, rest, strict=True) if other == line]
            points = [(float(row.labels[axis]), spread) for row in rows if (spread := figure_of(row)) is not None]
            _points(axes, points, look)
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel(axis)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_ylim(0, 1.02)
        axes.grid(alpha=0.3)
        _numbers(axes, sorted({float(row.labels[axis]) for row in outcome.rows}))
    if len(lines) > 1:
        panels[0].legend(frameon=False)
    figure.savefig(folder.trend, dpi=130)


def _points(axes: Axes, points: list[tuple[float, Spread]], look: Look) -> None:
    points = sorted(points, key=lambda point: point[0])
    axes.errorbar(
        [x for x, _ in points],
        [spread.mean for _, spread in points],
        yerr=[spread.deviation or 0.0 for _, spread in points],
        color=look.colour,
        linestyle=look.dash,
        marker="o",
        markersize=4,
        capsize=3,
        label=look.label,
    )


def _numbers(axes: Axes, numbers: list[float]) -> None:
    """Marks the numbers that were tried, and no others."""
    if numbers[0] > 0 and numbers[-1] / numbers[0] >= LOG_AXIS_RATIO:
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.set_xticks(numbers)
    axes.xaxis.set_major_formatter(ScalarFormatter())
