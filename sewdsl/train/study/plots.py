"""Plots of a study: curves by epoch, accuracies by a numeric axis, and trials of a search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import accumulate, starmap
from math import ceil
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter, ScalarFormatter, StrMethodFormatter

from sewdsl.elaborate.study_section import VARIANT, is_range_text
from sewdsl.ir.printed_values import escape_mathtext
from sewdsl.probe.plots import LineStyle, line_styles
from sewdsl.train.report.pictures import whole_axis
from sewdsl.train.store import measurements
from sewdsl.train.store.run_folder import RunFolder
from sewdsl.train.study.outcome import Outcome, SearchOutcome, StudyFolder, VariantResult
from sewdsl.train.study.repeats import Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {
    "train_loss": "training loss",
    "train_accuracy": "training accuracy",
    "test_accuracy": "test accuracy",
    "validation_accuracy": "validation accuracy",
}
"""Panels of the paper's Figures 9 and 10, by the name of the metric in ``metrics.csv``."""
LOSS_PANELS = {"train_loss": "training loss", "test_loss": "test loss", "validation_loss": "validation loss"}
"""Panels of variants without an accuracy."""
SELF_EXPLANATORY_AXES = (VARIANT, "block", "join")
"""Axes with labels that need no prefix in a legend."""
MIN_TREND_VALUES = 3
"""Minimum number of values for a trend line."""
LOG_AXIS_RATIO = 8
"""Minimum ratio of the largest to the smallest value for a logarithmic axis."""
SEARCH_COLUMNS = (3, 4)
"""Possible numbers of columns. The one with fewer rows and fewer empty panels is used."""
SEARCH_PANEL = (3.6, 3.4)
"""Width and height of a panel of a search, in inches."""
LOG_LABEL_RATIO = 100
"""Ratio of the largest to the smallest value below which a logarithmic axis has labels at 1, 2 and 5."""
ENDED, PRUNED = (colormaps["tab10"](index) for index in (0, 7))
BEST = colormaps["tab10"](3)


def draw(outcome: Outcome, folder: StudyFolder) -> None:
    """Write ``curves.png``, and ``trend.png`` for a numeric axis, or only ``search.png`` for a search."""
    if outcome.search is not None:
        _draw_search(outcome, outcome.search, folder.search)
        return
    _curves(outcome, folder)
    axis = numeric(outcome)
    if axis is not None:
        _trend(outcome, axis, folder)


def numeric(outcome: Outcome) -> str | None:
    """Return the first axis with at least three labels that are all numbers, or None."""
    for axis in outcome.axes:
        with suppress(ValueError):  # A label that is no number.
            if len({row.labels[axis]: float(row.labels[axis]) for row in outcome.rows}) >= MIN_TREND_VALUES:
                return axis
    return None


def _legend_label(axis: str, label: str) -> str:
    """Return a label for the legend, prefixed by the last part of its key if needed: ``SEW AND``, ``T_train none``."""
    head, *rest = axis.split(".")
    return label if head in SELF_EXPLANATORY_AXES else f"{rest[-1] if rest else head} {label}"


def _looks(rows: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    """Return colour, dash and label of each line, as arguments of matplotlib.

    Labels of the first axis have a colour, and those of the second a dash, unless there are more axes.
    """
    labels = [", ".join(starmap(_legend_label, row.items())) or "as written" for row in rows]
    # Colour and dash can show two axes.
    keys = [
        [*row.values()] if len(row) <= len(LineStyle._fields) else [label]
        for label, row in zip(labels, rows, strict=True)
    ]
    styles = line_styles(dict(zip(labels, keys, strict=True)))
    return [
        {"color": styles[label].colour, "linestyle": styles[label].dash, "label": escape_mathtext(label)}
        for label in labels
    ]


def _curves(outcome: Outcome, folder: StudyFolder) -> None:
    runs_by_row = [
        [measurements.read_metrics(RunFolder(folder.path / row.folder / f"seed-{seed}").metrics) for seed in row.seeds]
        for row in outcome.rows
    ]
    measured = {name for runs in runs_by_row for run in runs for line in run.values() for name in line}
    titles = PANELS if measured & {"test_accuracy", "validation_accuracy"} else LOSS_PANELS
    names = [name for name in titles if name in measured] or ["train_loss"]
    figure = Figure(figsize=(2 + 11 / 3 * len(names), 4.2), layout="constrained")
    figure.suptitle(escape_mathtext(outcome.title))
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for runs, look in zip(runs_by_row, _looks([row.labels for row in outcome.rows]), strict=True):
        for axes, name in zip(panels, names, strict=True):
            # Without a validation set, epochs have a test accuracy, otherwise a validation accuracy.
            of_name = [run for run in runs if any(name in line for line in run.values())]
            _band(axes, [{epoch: line[name] for epoch, line in run.items() if name in line} for run in of_name], look)
    for axes, name in zip(panels, names, strict=True):
        axes.set_title(titles[name], fontsize="medium")
        whole_axis(axes, "epoch")
        axes.grid(alpha=0.3)
        if name.endswith("accuracy"):
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        else:
            axes.set_ylim(bottom=0)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize="small")
    figure.savefig(folder.curves, dpi=130)


def _band(axes: Axes, runs: Sequence[dict[int, float]], look: dict[str, Any]) -> None:
    """Plot the mean over seeds, and the range from the lowest to the highest for several seeds."""
    # A run may have fewer epochs than the others.
    common = sorted(set.intersection(*(set(run) for run in runs))) if runs else []
    values = [[run[epoch] for run in runs] for epoch in common]
    axes.plot(common, list(map(fmean, values)), **look)
    if len(runs) > 1:
        axes.fill_between(common, list(map(min, values)), list(map(max, values)), color=look["color"], alpha=0.12)


def _trend(outcome: Outcome, axis: str, folder: StudyFolder) -> None:
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    figure.suptitle(escape_mathtext(outcome.title))
    panels = figure.subplots(1, 2, sharey=True)
    is_loss = not any(row.accuracy for row in outcome.rows)
    panel_metrics: list[tuple[str, Callable[[VariantResult], Spread | None]]] = [
        ("training accuracy in the last epoch", lambda row: row.train_accuracy),
        ("test accuracy after the last epoch", lambda row: row.accuracy),
    ]
    if is_loss:
        panel_metrics = [
            ("test loss after the last epoch", lambda row: row.loss),
            ("test loss after the best epoch", lambda row: row.best_loss),
        ]
    rest = [{name: text for name, text in row.labels.items() if name != axis} for row in outcome.rows]
    lines = [dict(line) for line in dict.fromkeys(tuple(row.items()) for row in rest)]
    for axes, (title, metric_of) in zip(panels, panel_metrics, strict=True):
        for line, look in zip(lines, _looks(lines), strict=True):
            rows = [row for row, other in zip(outcome.rows, rest, strict=True) if other == line]
            points = [(float(row.labels[axis]), spread) for row in rows if (spread := metric_of(row)) is not None]
            _points(axes, points, look)
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel(axis)
        if is_loss:
            axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
        else:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
            axes.set_ylim(0, 1.02)
        axes.grid(alpha=0.3)
        _numbers(axes, sorted({float(row.labels[axis]) for row in outcome.rows}))
    if len(lines) > 1:
        panels[0].legend(frameon=False)
    figure.savefig(folder.trend, dpi=130)


def _points(axes: Axes, points: list[tuple[float, Spread]], look: dict[str, Any]) -> None:
    points = sorted(points, key=lambda point: point[0])
    axes.errorbar(
        [x for x, _ in points],
        [spread.mean for _, spread in points],
        # A single seed has no deviation.
        yerr=[spread.deviation or 0.0 for _, spread in points],
        marker="o",
        markersize=4,
        capsize=3,
        **look,
    )


def _numbers(axes: Axes, numbers: list[float]) -> None:
    """Put ticks at the given numbers only."""
    if numbers[0] > 0 and numbers[-1] / numbers[0] >= LOG_AXIS_RATIO:
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.set_xticks(numbers)
    axes.xaxis.set_major_formatter(ScalarFormatter())


def _draw_search(outcome: Outcome, search: SearchOutcome, path: Path) -> None:
    count = 2 + len(search.space)
    columns = min(SEARCH_COLUMNS, key=lambda columns: (ceil(count / columns), ceil(count / columns) * columns - count))
    rows = ceil(count / columns)
    figure = Figure(figsize=(SEARCH_PANEL[0] * columns, SEARCH_PANEL[1] * rows + 0.5), layout="constrained")
    figure.suptitle(escape_mathtext(f"{outcome.title}: {search.method}, {len(search.history)} trials"))
    panels = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    _plot_by_trial(panels[0], search)
    _plot_by_epoch(panels[1], search)
    for axes, (axis, space) in zip(panels[2:], search.space.items(), strict=False):
        _plot_by_axis(axes, search, axis, space)
    for index, axes in enumerate(panels):
        # The grid may have more panels than plots.
        axes.set_visible(index < count)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.grid(alpha=0.3)
        if index % columns == 0:
            axes.set_ylabel(f"{search.metric} accuracy")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize="small")
    figure.savefig(path, dpi=130)


def _trial_points(axes: Axes, search: SearchOutcome, positions: dict[int, float]) -> None:
    """Draw a dot for each finished trial, a cross for each stopped one, and a star for the best."""
    for ended, marker, colour, label in ((True, "o", ENDED, "finished"), (False, "x", PRUNED, "stopped early")):
        points = [
            (positions[trial.number], trial.epochs[max(trial.epochs)] if trial.accuracy is None else trial.accuracy)
            for trial in search.history
            if (trial.accuracy is not None) is ended and (trial.epochs or ended)
        ]
        if points:
            x, y = zip(*points, strict=True)
            axes.scatter(x, y, marker=marker, color=colour, s=22, label=label, zorder=3)
    best = next((trial for trial in search.history if trial.number == search.best), None)
    if best is not None and best.accuracy is not None:
        axes.scatter([positions[best.number]], [best.accuracy], marker="*", color=BEST, s=110, label="best", zorder=4)


def _plot_by_trial(axes: Axes, search: SearchOutcome) -> None:
    _trial_points(axes, search, {trial.number: trial.number for trial in search.history})
    ended = [trial for trial in search.history if trial.accuracy is not None]
    so_far = list(accumulate((trial.accuracy or 0.0 for trial in ended), max))
    axes.step([trial.number for trial in ended], so_far, where="post", color=BEST, label="best so far")
    axes.set_title("by trial", fontsize="medium")
    whole_axis(axes, "trial")


def _plot_by_epoch(axes: Axes, search: SearchOutcome) -> None:
    for trial in search.history:
        best = trial.number == search.best
        epochs = sorted(trial.epochs)
        axes.plot(
            epochs,
            [trial.epochs[epoch] for epoch in epochs],
            color=BEST if best else ENDED if trial.state == "ended" else PRUNED,
            alpha=1.0 if best else 0.45,
            linewidth=2.0 if best else 1.0,
            marker="." if len(epochs) == 1 else None,
            zorder=3 if best else 2,
        )
    axes.set_title("by epoch", fontsize="medium")
    whole_axis(axes, "epoch")


def _plot_by_axis(axes: Axes, search: SearchOutcome, axis: str, space: str) -> None:
    if is_range_text(space):
        positions = {trial.number: float(trial.values[axis]) for trial in search.history}
        if space.startswith("log"):
            axes.set_xscale("log")
            # The default labels of minor ticks overlap.
            axes.xaxis.set_minor_formatter(NullFormatter())
            if max(positions.values()) < LOG_LABEL_RATIO * min(positions.values()):
                axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    else:
        # Keep the order of the study section.
        labels = sorted({trial.values[axis] for trial in search.history}, key=space.find)
        positions = {trial.number: float(labels.index(trial.values[axis])) for trial in search.history}
        axes.set_xticks(range(len(labels)), [escape_mathtext(label) for label in labels])
        axes.set_xlim(-0.5, len(labels) - 0.5)
    _trial_points(axes, search, positions)
    axes.set_title(escape_mathtext(axis), fontsize="medium")
    axes.set_xlabel(escape_mathtext(axis.rpartition(".")[2]))
