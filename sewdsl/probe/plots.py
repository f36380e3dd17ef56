"""Plots of quantities by block index, in the form of Figures 4 to 8 of Fang et al. 2021."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sewdsl.analysis.residual_blocks import NamedResidual
from sewdsl.ir.printed_values import escape_mathtext
from sewdsl.probe.compare_networks import QUANTITIES, BlockCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.typing import LineStyleType


Curve = Sequence[float | None]


def plot_curves(
    blocks: Sequence[NamedResidual],
    curves: Mapping[str, Curve],
    quantity: str,
    title: str,
    scale: Literal["linear", "log"],
) -> Figure:
    """Plot a line for each curve, with dotted vertical lines at the downsample blocks.

    Args:
        curves: Value of each block by name of the curve, or None for a missing value.
        quantity: Label of the vertical axis.
        scale: Scale of the vertical axis. A logarithmic one omits zeros.
    """
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    _prepare(axes, blocks, title)
    for name, values in curves.items():
        # A logarithmic axis cannot show zeros.
        points = [
            (b.index, v) for b, v in zip(blocks, values, strict=True) if v is not None and (v or scale == "linear")
        ]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name) if points else None
    axes.set_ylabel(quantity)
    axes.set_yscale(scale)
    axes.legend(frameon=False)
    return figure


def _prepare(axes: Axes, blocks: Sequence[NamedResidual], title: str, size: str | None = None) -> None:
    """Set title, block axis and dotted lines at the downsample blocks."""
    for block in blocks:
        if block.downsample:
            axes.axvline(block.index, color="#999999", linestyle=":", linewidth=1)
    axes.set_title(escape_mathtext(title), fontsize=size)
    axes.set_xlabel("block (dotted: downsample blocks)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)


DASHES: tuple[LineStyleType, ...] = ("-", "--", ":", "-.")
WIDEST, COLUMNS = 3, 2
"""Maximum number of panels in one row, and number of columns otherwise."""


class LineStyle(NamedTuple):
    """Style of the lines of one network."""

    colour: tuple[float, float, float, float]
    dash: LineStyleType


def plot_panels(curves: Sequence[BlockCurve], title: str) -> Figure:
    """Plot comparable curves in common panels, with dotted lines at the downsample blocks.

    Each quantity of rates has a panel, and counts have a separate one. Gradients have a panel for each value of the
    first axis, with a logarithmic scale.

    Args:
        curves: At least one curve.
    """
    groups: dict[str, list[BlockCurve]] = {}
    for curve in sorted(curves, key=lambda curve: [*QUANTITIES].index(curve.quantity)):
        groups.setdefault(_panel(curve), []).append(curve)
    columns = len(groups) if len(groups) <= WIDEST else COLUMNS
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(13, 1.2 + 3.4 * rows), layout="constrained")
    figure.suptitle(escape_mathtext(title))
    looks = line_styles({_label(curve): [*curve.labels.values()] for curve in curves})
    grid = [*figure.subplots(rows, columns, squeeze=False).flat]
    for axes, (name, group) in zip(grid, groups.items(), strict=False):
        _draw(axes, name, group, looks)
    # The last row may have unused panels.
    for axes in grid[len(groups) :]:
        axes.remove()
    if curves[0].quantity != "S":  # All panels have the same networks, and share a legend.
        lines = {label: Line2D([], [], color=colour, linestyle=dash) for label, (colour, dash) in looks.items()}
        figure.legend(
            [*lines.values()],
            [*map(escape_mathtext, lines)],
            loc="outside lower center",
            ncols=4,
            frameon=False,
            fontsize="small",
        )
    return figure


def _panel(curve: BlockCurve) -> str:
    if curve.quantity != "S":
        counts = ", counts" if max(curve.values) > 1 else ""
        return QUANTITIES[curve.quantity] + counts
    first = next(iter(curve.labels.values()), "")
    return first if len(curve.labels) > 1 else QUANTITIES["S"]


def line_styles(keys: Mapping[str, Sequence[str]]) -> dict[str, LineStyle]:
    """Return a colour by value of the first axis and a dash by the others, or a colour for each of many lines.

    Args:
        keys: Values of the axes by the label of a line.
    """
    rest = list(dict.fromkeys(tuple(key[1:]) for key in keys.values()))
    dashed = len(rest) <= len(DASHES)
    first = list(dict.fromkeys(key[0] if key and dashed else label for label, key in keys.items()))
    colours = colormaps["tab10" if len(first) <= colormaps["tab10"].N else "tab20"]
    return {
        label: LineStyle(
            colours(first.index(key[0] if key and dashed else label) % colours.N),
            DASHES[rest.index(tuple(key[1:]))] if dashed else "-",
        )
        for label, key in keys.items()
    }


def _label(curve: BlockCurve) -> str:
    return ", ".join(curve.labels.values()) or "as written"


def _draw(axes: Axes, name: str, group: Sequence[BlockCurve], looks: dict[str, LineStyle]) -> None:
    _prepare(axes, max((curve.blocks for curve in group), key=len), name, "medium")
    for curve in group:
        colour, dash = looks[_label(curve)]
        index = [block.index for block in curve.blocks]
        label = ", ".join([*curve.labels.values()][1:]) if name in curve.labels.values() else _label(curve)
        # A curve of zeros is invisible on a logarithmic axis.
        label += "" if any(curve.values) else ": zero"
        marker = "o" if len(index) == 1 else ""  # A line with a single point is invisible.
        axes.plot(index, curve.values, color=colour, linestyle=dash, marker=marker, label=escape_mathtext(label))
        if len(curve.runs) > 1:
            columns = [*zip(*curve.runs, strict=True)]
            axes.fill_between(index, [*map(min, columns)], [*map(max, columns)], color=colour, alpha=0.15)
    gradients = group[0].quantity == "S"
    axes.set_ylabel(QUANTITIES["S"] if gradients else "spikes per neuron and time-step")
    # Without positive values, a logarithmic axis has no range.
    if gradients and any(value > 0 for curve in group for value in curve.values):
        axes.set_yscale("log")
    elif not gradients:
        axes.set_ylim(bottom=0)
    if gradients:
        axes.legend(frameon=False, fontsize="small")
