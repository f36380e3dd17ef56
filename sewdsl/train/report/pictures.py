"""Plots of a run as SVG elements for the report, and as PNG."""

from __future__ import annotations

import io
import re
from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from sewdsl.ir.printed_values import escape_mathtext
from sewdsl.train.store.measurements import Epochs
from sewdsl.train.store.run_folder import write_run_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes


LEFT_OUT = {"metadata", "style"}
"""Elements of matplotlib's output without shapes. A style would apply to the whole page."""


def svg_element(svg: str | bytes, prefix: str, title: str) -> str:
    """Convert an SVG document to an element for HTML, without namespaces.

    Args:
        svg: Document drawn by sewdsl. Do not pass files of a run: the content is not escaped.
        prefix: Prefix of each ``id``, which makes the IDs of several elements unique.
        title: Description for screen readers.
    """
    root = ET.fromstring(svg)  # noqa: S314 -- drawn by sewdsl
    for element in list(root.iter()):
        element.tag = _local(element.tag)
        element[:] = [child for child in element if _local(child.tag) not in LEFT_OUT]
        element.attrib = {_local(name): _prefixed(_local(name), text, prefix) for name, text in element.items()}
        if element.tag == "a":  # Graphviz stores tooltips in links.
            element.tag = "g"
            tip = ET.Element("title")
            tip.text = element.attrib.pop("title")
            element.insert(0, tip)
    size = {side: root.attrib[side].removesuffix("pt") for side in ("width", "height")}
    root.attrib |= {**size, "role": "img", "aria-label": title}
    return ET.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _prefixed(name: str, text: str, prefix: str) -> str:
    if name == "id":
        return prefix + text
    return text.replace("#", f"#{prefix}") if name == "href" else text.replace("url(#", f"url(#{prefix}")


INK, RULE = "#010203", "#010204"
COLOURS = {INK: "--muted", RULE: "--rule", "#010205": "--train", "#010206": "--validation", "#010207": "--test"}
"""Placeholder colours, replaced by CSS properties that depend on the light or dark theme."""
TRAIN, VALIDATION, TEST = list(COLOURS)[2:]
DECADES = 20.0
"""Minimum ratio of the largest to the smallest value for a logarithmic axis."""


PARTS = {"train": ("training", TRAIN), "validation": ("validation", VALIDATION), "test": ("test", TEST)}
"""Label and placeholder colour of each part of the data."""
PANELS = {
    **{quantity: {f"{part}_{quantity}": look for part, look in PARTS.items()} for quantity in ("accuracy", "loss")},
    "gradient norm, last batch": {"gradient_norm/total": ("all layers", TRAIN)},
    "learning rate": {"learning_rate": ("learning rate", TRAIN)},
}
"""Label and placeholder colour of the lines of each panel, by title and metric."""


def curve_svgs(epochs: Epochs) -> list[str]:
    """Draw each panel for which the epochs have metrics."""
    drawn = []
    for index, (title, looks) in enumerate(PANELS.items()):
        figures = {name: {epoch: row[name] for epoch, row in epochs.items() if name in row} for name in looks}
        lines = {name: {epoch: y for epoch, y in values.items() if isfinite(y)} for name, values in figures.items()}
        if lines := {name: points for name, points in lines.items() if points}:
            drawn.append(svg_element(_draw(title, lines), f"curve{index}-", f"{title} by epoch"))
    return drawn


def _draw(title: str, lines: dict[str, dict[int, float]]) -> str:
    """Draw the lines of a panel, points by epoch, with placeholder colours replaced."""
    figure = Figure(figsize=(5.2, 2.9), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    for name, points in lines.items():
        label, colour = PANELS[title][name]
        marker = "o" if len(points) <= 40 else ""  # noqa: PLR2004 -- more markers would overlap
        axes.plot(list(points), list(points.values()), color=colour, lw=1.8, marker=marker, ms=3, label=label)
    _style(axes, title, [value for points in lines.values() for value in points.values()])
    if len(lines) > 1:
        axes.legend(frameon=False, labelcolor=INK, fontsize=9.5)
    out = io.StringIO()
    # Keep text as text, and make the document reproducible.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "sewdsl"}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return re.sub("|".join(COLOURS), lambda match: f"var({COLOURS[match[0]]})", out.getvalue())


def _style(axes: Axes, title: str, values: list[float]) -> None:
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    axes.set_xlabel("epoch", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=8))
    axes.grid(axis="y", color=RULE, lw=0.8)
    axes.tick_params(color=RULE, labelcolor=INK, length=0, labelsize=9.5)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    # Losses and gradient norms often decrease by orders of magnitude.
    if min(values) > 0 and max(values) / min(values) > DECADES:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_minor_formatter(NullFormatter())
    if title == "accuracy":
        axes.yaxis.set_major_formatter(lambda share, _position: f"{100 * share:.4g}\N{NO-BREAK SPACE}%")


PART_COLOURS = {"train": "#4c72b0", "validation": "#dd8452", "test": "#c44e52"}


def draw_png(epochs: Epochs, title: str, path: Path) -> None:
    """Write a PNG with loss on the left and accuracy on the right, with a line per split.

    Raises:
        RunError: If the file cannot be written.
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
    write_run_file(path, out.getvalue())


def _panel(axes: Axes, epochs: Epochs, quantity: str) -> None:
    for name, colour in PART_COLOURS.items():
        points = {epoch: row[f"{name}_{quantity}"] for epoch, row in epochs.items() if f"{name}_{quantity}" in row}
        if points:
            axes.plot(list(points), list(points.values()), color=colour, marker="o", markersize=3, label=name)
    whole_axis(axes, "epoch")
    axes.set_ylabel(quantity)
    axes.grid(alpha=0.3)
    if axes.lines:  # An autoencoder has no accuracies.
        axes.legend(frameon=False)


def whole_axis(axes: Axes, label: str) -> None:
    """Label the horizontal axis, with ticks at integers only."""
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
