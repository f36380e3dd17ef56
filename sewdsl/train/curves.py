"""Loss and accuracy over the epochs, as a picture."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from sewdsl.ir.words import escape_mathtext
from sewdsl.train import atomic
from sewdsl.train.metrics import Epochs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PART_COLOURS = {"train": "#4c72b0", "validation": "#dd8452", "test": "#c44e52"}


def draw_png(epochs: Epochs, title: str, path: Path) -> None:
    """Writes a png with two panels: loss on the left, accuracy on the right; a line for each part of the samples.

    Raises:
        RunError: it cannot be written.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    figure.suptitle(escape_mathtext(title))
    loss, accuracy = figure.subplots(1, 2)
    _panel(loss, epochs, "loss")
    _panel(accuracy, epochs, "accuracy")
    loss.set_ylim(bottom=0)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    out = BytesIO()
    figure.savefig(out, dpi=150, format="png")
    atomic.write(path, out.getvalue())


def _panel(axes: Axes, epochs: Epochs, quantity: str) -> None:
    for name, colour in PART_COLOURS.items():
        points = {epoch: row[f"{name}_{quantity}"] for epoch, row in epochs.items() if f"{name}_{quantity}" in row}
        if points:
            axes.plot(list(points), list(points.values()), color=colour, marker="o", markersize=3, label=name)
    axes.set_xlabel("epoch")
    axes.set_ylabel(quantity)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
