"""Colours, sizes and themes of layer families, frames and lines, and options of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from sewdsl.draw.geometry import Length
from sewdsl.ir.op import Activation, Join, Op
from sewdsl.ir.signal import Signal
from sewdsl.ops.input import Input
from sewdsl.ops.layers.conv import Conv, TransposedConv
from sewdsl.ops.layers.linear import Linear
from sewdsl.ops.layers.norms import GroupNorm, LayerNorm, Norm, RootMeanSquareNorm
from sewdsl.ops.layers.pool import GlobalAvgPool, Pool
from sewdsl.ops.layers.shapes import Pad, Upsample
from sewdsl.ops.layers.time_filters import DelayedLinear
from sewdsl.ops.layers.tokens import TokenEmbedding

FONT = "Helvetica"
INK, MUTED = "#1D2939", "#667085"


@dataclass(frozen=True)
class FamilyStyle:
    """Style of a family of layers, or of frames."""

    name: str
    """Name of the family, also the class name in Mermaid: ``convolution``."""
    fill: str
    edge: str
    """Colour of the border."""
    border: str = "solid"
    """Style of the border in Graphviz: ``solid``, ``dashed`` or ``dotted``."""
    width: float | None = None
    """Width of the border in points. Default: that of all other boxes."""


TERMINAL = FamilyStyle("terminal", "#FFFFFF", "#98A2B3")
OTHER = FamilyStyle("other", "#F2F4F7", "#98A2B3")
POOLING = FamilyStyle("pooling", "#DBEFDD", "#549A5C")
NEURON = FamilyStyle("neuron", "#FDE3C4", "#D47F1E")
FAMILIES: tuple[tuple[tuple[type[Op], ...], FamilyStyle], ...] = (
    ((Input,), TERMINAL),
    ((Conv, TransposedConv), FamilyStyle("convolution", "#D6E6F8", "#3F77B5")),
    ((Norm, GroupNorm, LayerNorm, RootMeanSquareNorm), FamilyStyle("norm", "#E9E6F5", "#8578B5")),
    ((Activation,), NEURON),
    ((Pool, GlobalAvgPool, Pad, Upsample), POOLING),
    ((Linear, DelayedLinear, TokenEmbedding), FamilyStyle("linear", "#D3ECEC", "#2F8C8C")),
    ((Join,), FamilyStyle("join", "#FFFFFF", "#344054")),
)


def layer_style(op: Op) -> FamilyStyle:
    """Return the style of a layer's family, or ``other``."""
    # Neurons with several inputs are merges.
    return NEURON if op.is_activation else next((look for classes, look in FAMILIES if isinstance(op, classes)), OTHER)


BLOCK = FamilyStyle("block", "#F5F6F8", "#C4CAD4")
CALL = FamilyStyle("block_call", "#E4E7EC", "#667085")
"""Style of a block that is drawn as a box, since its content is drawn elsewhere."""
FOLD = FamilyStyle("copies", "#FFFFFF", "#8A94A6")
FOLDED_BLOCK = FamilyStyle("copies_of_a_block", BLOCK.fill, FOLD.edge)

VALUE = FamilyStyle("named_value", "#FFFCF0", "#D9BF62")


@dataclass(frozen=True)
class Stroke:
    """Style of a line."""

    meaning: str
    """Text in the legend."""
    color: str
    width: float
    """Width in points."""
    sample: str = "——"


SPIKES = Stroke("spikes, 0 or 1", "#E8770C", 1.3)
COUNTS = Stroke("counts, 0 to k", "#B5322B", 1.9)
REALS = Stroke("real values", "#98A2B3", 1.3)
STROKES = (SPIKES, COUNTS, REALS)


def edge_style(signals: Sequence[Signal]) -> Stroke:
    """Return the style of a line with the given signals in its copies, by the widest value range."""
    counts = [signal.values.count for signal in signals]
    if None in counts:
        return REALS
    return SPIKES if all(count == 1 for count in counts) else COUNTS


ThemeName = Literal["light", "dark", "print"]
THEMES: tuple[ThemeName, ...] = get_args(ThemeName)


@dataclass(frozen=True)
class ThemeColours:
    """Colours of a theme."""

    background: str = "white"
    ink: str = INK
    """Colour of texts in boxes and frames."""
    muted: str = MUTED
    """Colour of texts on lines, of notes and of the legend."""
    families: tuple[FamilyStyle, ...] = ()
    """Styles of families and frames. Others, by name, are those of the light theme."""
    strokes: tuple[Stroke, ...] = ()
    """Styles of lines. Others, by meaning, are those of the light theme."""

    def family(self, look: FamilyStyle) -> FamilyStyle:
        """Return the style of a family in this theme, given that in the light theme."""
        return next((other for other in self.families if other.name == look.name), look)

    def stroke(self, look: Stroke) -> Stroke:
        """Return the style of a line in this theme, given that in the light theme."""
        return next((other for other in self.strokes if other.meaning == look.meaning), look)


_DARK = ThemeColours(
    background="#101828",
    ink="#F2F4F7",
    muted="#A9B4C4",
    families=(
        FamilyStyle("terminal", "#101828", "#98A2B3"),
        FamilyStyle("other", "#27303F", "#98A2B3"),
        FamilyStyle("convolution", "#1C3A5E", "#6BA3DE"),
        FamilyStyle("norm", "#38325A", "#A79CD8"),
        FamilyStyle("neuron", "#5C3B12", "#F0A04B"),
        FamilyStyle("pooling", "#1F4527", "#7CC286"),
        FamilyStyle("linear", "#17474A", "#5DBDBD"),
        FamilyStyle("join", "#101828", "#D0D5DD"),
        FamilyStyle(BLOCK.name, "#1A2333", "#475467"),
        FamilyStyle(CALL.name, "#3A4558", "#98A2B3"),
        FamilyStyle(FOLD.name, "#101828", "#667085"),
        FamilyStyle(FOLDED_BLOCK.name, "#1A2333", "#8C97AA"),
        FamilyStyle(VALUE.name, "#2B2710", "#B39B3E"),
    ),
    strokes=(
        Stroke(SPIKES.meaning, "#F79A3E", SPIKES.width),
        Stroke(COUNTS.meaning, "#F0625A", COUNTS.width),
        Stroke(REALS.meaning, "#98A2B3", REALS.width),
    ),
)
_PRINT = ThemeColours(
    ink="#000000",
    muted="#404040",
    families=(
        FamilyStyle("terminal", "#FFFFFF", "#8C8C8C"),
        FamilyStyle("other", "#FFFFFF", "#000000", "dotted"),
        FamilyStyle("convolution", "#FFFFFF", "#000000"),
        FamilyStyle("norm", "#EDEDED", "#8C8C8C"),
        FamilyStyle("neuron", "#BDBDBD", "#000000", width=1.8),
        FamilyStyle("pooling", "#FFFFFF", "#000000", "dashed"),
        FamilyStyle("linear", "#D9D9D9", "#000000"),
        FamilyStyle("join", "#FFFFFF", "#000000", width=1.8),
        FamilyStyle(BLOCK.name, "#FAFAFA", "#A6A6A6"),
        FamilyStyle(CALL.name, "#FAFAFA", "#000000", width=1.8),
        FamilyStyle(FOLD.name, "#FFFFFF", "#595959"),
        FamilyStyle(FOLDED_BLOCK.name, "#FAFAFA", "#595959"),
        FamilyStyle(VALUE.name, "#FFFFFF", "#595959", "dotted"),
    ),
    strokes=(
        Stroke(SPIKES.meaning, "#000000", 0.9),
        Stroke(COUNTS.meaning, "#000000", 2.4, "▬▬"),
        Stroke(REALS.meaning, "#9A9A9A", 1.1),
    ),
)
_COLOURS: dict[ThemeName, ThemeColours] = {"light": ThemeColours(), "dark": _DARK, "print": _PRINT}
"""Themes by name. The print theme is distinguishable without colour, by lightness, borders and line widths."""


@dataclass(frozen=True)
class PictureLook:
    """Appearance of a picture."""

    theme: ThemeName = "light"
    """``light``, ``dark``, or ``print`` (greys)."""
    title: bool = True
    """Whether to show the network's name and facts."""
    legend: bool = True
    width: Length | None = None
    """Width of the picture. The layout keeps the text legible at this width. Default: natural width."""

    @property
    def colours(self) -> ThemeColours:
        """Colours of the theme."""
        return _COLOURS[self.theme]


PLAIN = PictureLook()
