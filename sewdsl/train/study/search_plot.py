"""The picture of a search: its trials one after the other, over their epochs, and over each axis."""

from __future__ import annotations

from itertools import accumulate
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, ScalarFormatter

from sewdsl.elaborate.study_search import is_range_text
from sewdsl.ir.printed_values import escape_mathtext
from sewdsl.train.study.outcome import Outcome, SearchOutcome

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = (3, 4)
"""Panels side by side: what makes fewer rows, and of those, leaves less room."""
PANEL = (3.6, 3.4)
"""Inches of one."""
DECADES = 20
"""Ratio of the largest to the smallest number below which a logarithmic axis has more marks than powers of ten."""
ENDED, PRUNED = (colormaps["tab10"](place) for place in (0, 7))
BEST = colormaps["tab10"](3)


def draw(outcome: Outcome, search: SearchOutcome, path: Path) -> None:
    """Write the picture of a search."""
    count = 2 + len(search.space)
    columns = min(COLUMNS, key=lambda columns: (ceil(count / columns), ceil(count / columns) * columns - count))
    rows = ceil(count / columns)
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows + 0.5), layout="constrained")
    figure.suptitle(escape_mathtext(f"{outcome.title}: {search.method}, {len(search.history)} trials"))
    panels = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    _in_turn(panels[0], search)
    _over_epochs(panels[1], search)
    for axes, (axis, space) in zip(panels[2:], search.space.items(), strict=False):
        _over_axis(axes, search, axis, space)
    for number, axes in enumerate(panels):
        axes.set_visible(number < count)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.grid(alpha=0.3)
        if number % columns == 0:
            axes.set_ylabel(f"{search.metric} accuracy")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize="small")
    figure.savefig(path, dpi=130)


def _points(axes: Axes, search: SearchOutcome, places: dict[int, float]) -> None:
    """A point for each trial: full where it ended, a cross where it was ended early, a star for the best."""
    for ended, marker, colour, label in ((True, "o", ENDED, "ended"), (False, "x", PRUNED, "ended early")):
        chosen = [
            (places[trial.number], trial.epochs[max(trial.epochs)] if trial.accuracy is None else trial.accuracy)
            for trial in search.history
            if (trial.accuracy is not None) is ended and (trial.epochs or ended)
        ]
        if chosen:
            x, y = zip(*chosen, strict=True)
            axes.scatter(x, y, marker=marker, color=colour, s=22, label=label, zorder=3)
    best = next((trial for trial in search.history if trial.number == search.best), None)
    if best is not None and best.accuracy is not None:
        axes.scatter([places[best.number]], [best.accuracy], marker="*", color=BEST, s=110, label="best", zorder=4)


def _in_turn(axes: Axes, search: SearchOutcome) -> None:
    _points(axes, search, {trial.number: trial.number for trial in search.history})
    ended = [trial for trial in search.history if trial.accuracy is not None]
    so_far = list(accumulate((trial.accuracy or 0.0 for trial in ended), max))
    axes.step([trial.number for trial in ended], so_far, where="post", color=BEST, label="best so far")
    axes.set_title("trial after trial", fontsize="medium")
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _over_epochs(axes: Axes, search: SearchOutcome) -> None:
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
    axes.set_title("over the epochs", fontsize="medium")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _over_axis(axes: Axes, search: SearchOutcome, axis: str, space: str) -> None:
    if is_range_text(space):
        places = {trial.number: float(trial.values[axis]) for trial in search.history}
        if space.startswith("log"):
            axes.set_xscale("log")
            if max(places.values()) < DECADES * min(places.values()):
                axes.xaxis.set_major_formatter(ScalarFormatter())
                axes.xaxis.set_minor_formatter(ScalarFormatter())
    else:
        labels = sorted({trial.values[axis] for trial in search.history}, key=space.find)
        places = {trial.number: float(labels.index(trial.values[axis])) for trial in search.history}
        axes.set_xticks(range(len(labels)), [escape_mathtext(label) for label in labels])
        axes.set_xlim(-0.5, len(labels) - 0.5)
    _points(axes, search, places)
    axes.set_title(escape_mathtext(axis), fontsize="medium")
    axes.set_xlabel(escape_mathtext(axis.rpartition(".")[2]))
