"""The look of the pictures: colours and styles, for an author to change in one place."""

from __future__ import annotations

from sewdsl.draw.style import BLOCK, FAMILIES, OTHER, FamilyStyle, layer_style
from sewdsl.ir.op import Join, Op

LIBRARIES = "arrows.meta, calc, decorations.pathreplacing, fit, positioning"
BLOCK_STYLE = f"sew {BLOCK.name}"
STYLES = r"""
  sew/.style={node distance=4mm, line width=0.5pt, font=\small, >={Stealth[length=1.6mm, width=1.3mm]}},
  sew layer/.style={draw, rounded corners=1.5pt, minimum height=5mm, inner xsep=1.5mm, inner ysep=0.6mm, align=center},
  sew join/.style={draw, circle, minimum size=5mm, inner sep=0.2mm},
  sew signal/.style={inner sep=0.6mm, align=center},
  sew note/.style={font=\scriptsize, inner sep=0.8mm, text=black!70},
  sew caption/.style={align=center, inner ysep=2mm},
  sew branch/.style={draw=black!45, dashed, rounded corners=2pt, inner sep=1.8mm},
  sew extent/.style={inner sep=0pt},
  sew stem/.style={rounded corners=2mm},
  sew line/.style={sew stem, ->},
  sew negated/.style={sew stem, -{Circle[open, length=1.6mm]}},
  sew brace/.style={decorate, decoration={brace, amplitude=1.5mm}},
"""
_FAMILIES: tuple[FamilyStyle, ...] = (*(look for classes, look in FAMILIES if Join not in classes), OTHER, BLOCK)


def style_of(op: Op) -> str:
    """The style of a layer's box."""
    return f"sew {layer_style(op).name}"


def style_preamble() -> str:
    """What all pictures need: the colours of the drawings of ``sewdsl draw``, and the styles."""
    colours = "".join(
        f"\\definecolor{{sew-{look.name}}}{{HTML}}{{{look.fill[1:]}}}\n"
        f"\\definecolor{{sew-{look.name}-edge}}{{HTML}}{{{look.edge[1:]}}}\n"
        for look in _FAMILIES
    )
    boxes = "".join(
        f"  sew {look.name}/.style={{sew layer, fill=sew-{look.name}, draw=sew-{look.name}-edge}},\n"
        for look in _FAMILIES
    )
    block = f"  {BLOCK_STYLE}/.append style={{draw=black!60, line width=0.8pt}},\n"
    return f"{colours}\\tikzset{{{STYLES}{boxes}{block}}}\n"
