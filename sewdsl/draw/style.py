"""Colours and sizes: what a family of layers and a kind of signal look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sewdsl.ir.op import Activation, Join, Op
from sewdsl.ir.signal import Signal
from sewdsl.ops.input import Input
from sewdsl.ops.layers.conv import Conv
from sewdsl.ops.layers.global_avg_pool import GlobalAvgPool
from sewdsl.ops.layers.group_norm import GroupNorm
from sewdsl.ops.layers.layer_norm import LayerNorm
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norm import Norm
from sewdsl.ops.layers.pool import Pool
from sewdsl.ops.layers.transposed_conv import TransposedConv
from sewdsl.ops.layers.upsample import Upsample

FONT = "Helvetica"
INK, MUTED = "#1D2939", "#667085"


@dataclass(frozen=True)
class FamilyStyle:
    """The look of a family of layers, or of frames.

    Attributes:
        name: ``convolution``; also the class name in Mermaid.
        fill: Colour of the box.
        edge: Colour of its border.
    """

    name: str
    fill: str
    edge: str


TERMINAL = FamilyStyle("terminal", "#FFFFFF", "#98A2B3")
OTHER = FamilyStyle("other", "#F2F4F7", "#98A2B3")
FAMILIES: tuple[tuple[tuple[type[Op], ...], FamilyStyle], ...] = (
    ((Input,), TERMINAL),
    ((Conv, TransposedConv), FamilyStyle("convolution", "#D6E6F8", "#3F77B5")),
    ((Norm, GroupNorm, LayerNorm), FamilyStyle("norm", "#E9E6F5", "#8578B5")),
    ((Activation,), FamilyStyle("neuron", "#FDE3C4", "#D47F1E")),
    ((Pool, GlobalAvgPool, Upsample), FamilyStyle("pooling", "#DBEFDD", "#549A5C")),
    ((Linear,), FamilyStyle("linear", "#D3ECEC", "#2F8C8C")),
    ((Join,), FamilyStyle("join", "#FFFFFF", "#344054")),
)


def layer_style(op: Op) -> FamilyStyle:
    """The family of a layer; ``other`` for what has none."""
    return next((look for classes, look in FAMILIES if isinstance(op, classes)), OTHER)


BLOCK = FamilyStyle("block", "#F5F6F8", "#C4CAD4")
FOLD = FamilyStyle("copies", "#FFFFFF", "#8A94A6")
FOLDED_BLOCK = FamilyStyle("copies_of_a_block", BLOCK.fill, FOLD.edge)


VALUE = FamilyStyle("named_value", "#FFFCF0", "#D9BF62")


def frame_style(*, block: bool, folds: bool, value: bool = False) -> FamilyStyle:
    """The look of a frame around a block, around folded copies or both, or around a named value."""
    if value:
        return VALUE
    if block:
        return FOLDED_BLOCK if folds else BLOCK
    return FOLD


@dataclass(frozen=True)
class Stroke:
    """The look of an edge.

    Attributes:
        meaning: What the legend says.
        color: Of the line.
        width: Of the line, in points.
    """

    meaning: str
    color: str
    width: float


SPIKES = Stroke("spikes, 0 or 1", "#E8770C", 1.3)
COUNTS = Stroke("counts, 0 to k", "#B5322B", 1.9)
REALS = Stroke("real values", "#98A2B3", 1.3)
STROKES = (SPIKES, COUNTS, REALS)


def edge_style(signals: Sequence[Signal]) -> Stroke:
    """The look of an edge that carries these in its copies: that of the widest range."""
    counts = [signal.values.count for signal in signals]
    if None in counts:
        return REALS
    return SPIKES if all(count == 1 for count in counts) else COUNTS
