"""Drawing of the stages of the compiler, ``docs/pictures/compiler.svg``: ``python -m docs.site.compiler_picture``.

``tests/docs/test_compiler_picture.py`` compares the data in this module with the code.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

PICTURE = Path(__file__).parents[1] / "pictures" / "compiler.svg"


class Form(NamedTuple):
    """Form of a network between two stages.

    Attributes:
        name: Label in the drawing.
        type: Class, as ``module:name``.
        package: Package that computes the form from the previous form. Empty for the first.
        function: Function that computes the form, as ``module:name``.
    """

    name: str
    type: str
    package: str = ""
    function: str = ""


FORMS = (
    Form("text", "sewdsl.source:Source"),
    Form("tree", "sewdsl.syntax.tree:Document", "syntax", "sewdsl.syntax.parser:parse"),
    Form("network", "sewdsl.ir.network:Network", "elaborate", "sewdsl.elaborate:elaborate"),
    Form("program", "sewdsl.passes:Program", "passes", "sewdsl.passes:optimize_program"),
    Form("module", "sewdsl.lower:SpikingNetwork", "lower", "sewdsl.lower:lower"),
    Form("run", "sewdsl.train.store.run_folder:RunFolder", "train", "sewdsl.train.fit.lightning_loop:fit_epochs"),
)
"""Forms in order of computation."""


class Use(NamedTuple):
    """Other result computed from a form.

    Attributes:
        form: Name of the form.
        package: Package that computes the result.
        result: Label in the drawing.
        x: Horizontal position of the column, from the left edge.
    """

    form: str
    package: str
    result: str
    x: int


USES = (
    Use("tree", "editing", "editor", 238),
    Use("network", "checks", "diagnostics", 322),
    Use("network", "draw", "pictures", 408),
    Use("network", "notation", "text, LaTeX", 494),
    Use("program", "passes.plan", "plan", 578),
    Use("module", "exchange", "NIR, ONNX, source", 724),
    Use("module", "probe", "rates, gradients, energy", 880),
)

WITHOUT_TORCH = ("text", "tree", "network", "program")
"""Forms that are computed without importing torch, in the frame of the drawing."""


def draw() -> str:
    """Return the drawing as SVG."""
    left = {form.name: 20 + 170 * column for column, form in enumerate(FORMS)}
    lines = [
        (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 980 236" font-family="Helvetica, Arial, sans-serif" '
            'font-size="15" text-anchor="middle">'
        ),
        (
            "<title>Text becomes a tree, the tree a network, the network a program, the program a module, the module a "
            "run</title>"
        ),
        '<rect width="980" height="236" fill="white"/>',
        (
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto"><path d="M0 0 8 4 0 8z" fill="#374151"/></marker></defs>'
        ),
        '<rect x="8" y="18" width="632" height="202" rx="10" fill="none" stroke="#9ca3af" stroke-dasharray="5 4"/>',
        (
            '<text x="22" y="210" text-anchor="start" font-size="13" fill="#4b5563">does not import torch, takes a '
            "fraction of a second</text>"
        ),
    ]
    for form in FORMS:
        x = left[form.name]
        fill = "#f3f4f6" if not form.package else "#e0ecff" if form.name in WITHOUT_TORCH else "#ffe9d6"
        lines.append(
            f'<rect x="{x}" y="60" width="96" height="44" rx="8" fill="{fill}" stroke="#374151"/>'
            f'<text x="{x + 48}" y="87">{form.name}</text>'
        )
    for form in FORMS[1:]:
        x = left[form.name]
        lines += [_arrow(f"M{x - 74} 82H{x - 2}"), _label(x - 39, 72, form.package)]
    for use in USES:
        # An arrow leads down from the middle of the form's box, with a bend if the column is elsewhere.
        x = left[use.form] + 48
        lines += [
            _arrow(f"M{x} 104V137" if x == use.x else f"M{x} 104V120H{use.x}V137"),
            _label(use.x, 155, use.package),
            f'<text x="{use.x}" y="173" font-size="13">{use.result}</text>',
        ]
    return "".join(f"{line}\n" for line in [*lines, "</svg>"])


def _arrow(path: str) -> str:
    return f'<path d="{path}" stroke="#374151" fill="none" marker-end="url(#head)"/>'


def _label(x: int, y: int, text: str) -> str:
    return f'<text x="{x}" y="{y}" font-size="12" fill="#1d4ed8">{text}</text>'


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
