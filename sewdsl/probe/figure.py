"""Curves over the index of blocks, in the form of the paper's Figures 4 to 8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sewdsl.ir.words import escape_mathtext
from sewdsl.probe.block import NamedResidual

Curve = Sequence[float | None]


def plot_curves(
    found: Sequence[NamedResidual],
    curves: Mapping[str, Curve],
    quantity: str,
    title: str,
    scale: Literal["linear", "log"],
) -> Figure:
    """A figure with a line for each curve; dotted vertical lines mark the downsample blocks.

    Args:
        found: The blocks.
        curves: By name: a value for each block; None: it has none.
        quantity: What they are.
        title: Over the figure.
        scale: Of the values; on a logarithmic one, zeros are left out.
    """
    picture = Figure(figsize=(8, 3.6), layout="constrained")
    axes = picture.subplots()
    for block in found:
        if block.downsample:
            axes.axvline(block.index, color="#999999", linestyle=":", linewidth=1)
    for name, values in curves.items():
        points = [
            (b.index, v) for b, v in zip(found, values, strict=True) if v is not None and (v or scale == "linear")
        ]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name) if points else None
    axes.set_title(escape_mathtext(title))
    axes.set_xlabel("block (dotted: downsample blocks)")
    axes.set_ylabel(quantity)
    axes.set_yscale(scale)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return picture
