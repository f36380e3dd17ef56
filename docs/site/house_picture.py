"""Drawing of the packages by layer, ``docs/pictures/architecture.svg``: ``python -m docs.site.house_picture``.

The layers are those of the contract in ``pyproject.toml``. ``tests/docs/test_house_picture.py`` compares the drawing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "pictures" / "architecture.svg"

ROOMS = {
    "cli": "commands: parse options, print text, write files",
    "lsp": "language server",
    "notebook": "notebook cells",
    "serve": "live page",
    "own_code": "Python files of the user",
    "train": "recipe and data → run folder; studies",
    "exchange": "NIR, ONNX, C, source, weights",
    "probe": "module → firing rates, gradients, operations",
    "editing": "editor features: completion, hover, rename",
    "compiler": "all stages in order: read, load, compile",
    "notation": "network → text, LaTeX, TikZ",
    "integers": "module → integer weights, potentials and bounds",
    "lower": "program → torch module",
    "draw": "network → pictures",
    "highlight": "syntax highlighting",
    "passes": "network → program: kernels and stored tensors",
    "checks": "network → diagnostics",
    "dialects": "other notations → tree",
    "targets": "network → limits of chips",
    "elaborate": "tree → network: resolve names, expand blocks and repeats",
    "analysis": "network → residual blocks, operation counts, tables",
    "ops": "kinds: layers, neurons, joins, surrogates, optimizers, losses",
    "syntax": "text → tree → text",
    "ir": "intermediate representation",
    "snn": "layers over time, kernels",
    "equations": "equations of a neuron → tape, gradient, ranges",
}
"""Purpose of each package, and of the modules that share a layer with packages or are above them."""

STATIONS = ("cli", "compiler", "syntax", "elaborate", "checks", "passes", "lower", "train", "exchange")
"""Packages that process a spec, in order."""

GROUND = "diagnostics, reporter, source, paths, files, terminal, limits, plug-ins, errors"
"""Purposes of the modules below all packages."""

LEFT, WIDTH, HEIGHT, STEP, TOP = 20, 940, 38, 46, 52
NO_TORCH, TORCH, PLAIN = "#e0ecff", "#ffe9d6", "#f3f4f6"


def contracts() -> dict[str, dict[str, Any]]:
    """Return the contracts of import-linter by their ids."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {contract["id"]: contract for contract in settings["tool"]["importlinter"]["contracts"]}


def floors() -> list[list[str]]:
    """Return the packages of each layer, from top to bottom, without the single modules below all packages."""
    layers = ([name.strip() for name in layer.split("|")] for layer in contracts()["layers"]["layers"])
    return [rooms for layer in layers if (rooms := [name for name in layer if name in ROOMS])]


def draw() -> str:
    """Return the picture, as SVG."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    rows = floors()
    bottom = TOP + STEP * (len(rows) + 1)
    # The contract checks that these packages do not import torch.
    torch_free = {name.removeprefix("sewdsl.") for name in contracts()["front-end"]["source_modules"]}
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 980 {bottom + 6}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="15">'
    )
    yield "<title>The packages of sewdsl by layer: each imports only from lower layers</title>"
    yield f'<rect width="980" height="{bottom + 6}" fill="white"/>'
    yield from _legend()
    for row, rooms in enumerate(rows):
        # The packages of a layer share its width, with gaps of 8.
        width = (WIDTH - 8 * (len(rooms) - 1)) / len(rooms)
        for column, room in enumerate(rooms):
            x, y = LEFT + column * (width + 8), TOP + STEP * row
            yield from _room(x, y, width, (room, ROOMS[room]), NO_TORCH if room in torch_free else TORCH)
            if room in STATIONS:
                yield _station(x + width - 22, y + HEIGHT / 2, STATIONS.index(room) + 1)
    yield from _room(LEFT, TOP + STEP * len(rows), WIDTH, ("base", GROUND), PLAIN)
    yield "</svg>"


def _legend() -> Iterator[str]:
    yield f'<text x="{LEFT}" y="28">Packages import only from below.</text>'
    yield f'<rect x="290" y="14" width="22" height="18" rx="4" fill="{NO_TORCH}" stroke="#374151"/>'
    yield '<text x="320" y="28">never imports torch</text>'
    yield f'<rect x="500" y="14" width="22" height="18" rx="4" fill="{TORCH}" stroke="#374151"/>'
    yield '<text x="530" y="28">may import torch</text>'
    yield _station(712, 23, 1)
    yield '<text x="732" y="28">order of processing a spec</text>'


def _room(x: float, y: float, width: float, words: tuple[str, str], fill: str) -> Iterator[str]:
    name, purpose = words
    yield (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{HEIGHT}" rx="6" fill="{fill}" stroke="#374151"/>'
        f'<text x="{x + 12:g}" y="{y + 24:g}"><tspan font-weight="bold">{name}</tspan>'
        f'<tspan dx="10" font-size="13" fill="#374151">{escape(purpose)}</tspan></text>'
    )


def _station(x: float, y: float, label: int) -> str:
    return (
        f'<circle cx="{x:g}" cy="{y:g}" r="11" fill="#b91c1c"/>'
        f'<text x="{x:g}" y="{y + 5:g}" fill="white" font-size="13" text-anchor="middle">{label}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
