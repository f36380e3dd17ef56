"""The words in the boxes: ``Conv 3×3, 64, /2``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from textwrap import wrap
from typing import NamedTuple

from sewdsl.elaborate.arguments import redundant_arguments
from sewdsl.elaborate.node_builder import FollowerIndex, Followers
from sewdsl.ir.network import Network
from sewdsl.notation.item_text import BlockText, LayerText
from sewdsl.notation.latex import tex

NAMES = {"c": "Conv", "tc": "Transposed Conv"}
"""What Figure 1 calls a kind, where it is not the name in the language."""
ENLARGING = {"tc"}
"""Kinds whose stride says how many times as large the map becomes."""
WIDTH = "\N{MATHEMATICAL ITALIC SMALL C}"
"""What represents the width where it is not one number."""
BREAK = r"\\{}"
"""Between lines; in braces ends the argument that LaTeX looks for after it."""
MAX_LINE_LENGTH = 28
"""Characters of a line in a box."""
_C = re.compile(r"\bc[0-9]+")
"""The width in the arguments of a call."""


class BoxText(NamedTuple):
    """The text of a box: its longest line as it looks, and all of it as LaTeX source."""

    plain: str
    source: str

    @classmethod
    def of(cls, text: str) -> BoxText:
        """Anybody's text, in lines of at most 28 characters."""
        lines = wrap(text, MAX_LINE_LENGTH) or [""]
        return cls(max(lines, key=len), BREAK.join(map(tex, lines)))


class BoxTexts:
    """The words of the boxes of one network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._followers = FollowerIndex([node.op for node in network], network.graph.consumers, network.settings.steps)

    def box(self, box: LayerText | BlockText, width: str | None = None) -> BoxText:
        """The words in a box; what goes without saying is left out.

        Args:
            width: What is said of its channels, features or rate, ``4c`` or nothing; None: what they are.
        """
        if isinstance(box, LayerText):
            return BoxText.of(self._layer(box, width_of(box) if width is None else width))
        arguments = box.arguments if width is None else _C.sub(width, box.arguments, count=1).removeprefix(", ")
        return BoxText.of(f"{box.title} ({arguments})" if arguments else box.title)

    def _layer(self, layer: LayerText, said: str) -> str:
        op, letters = layer.op, layer.op.letters()
        followers = Followers(self._followers, layer.node)
        unsaid = {
            *redundant_arguments(op, followers.settled),
            *(n for n, value in op if value is None),
        }
        head, arguments = NAMES.get(op.kind, op.kind), []
        kernel = letters.pop("k", None)
        width = letters.pop("", None)
        if kernel is not None:
            vector = len(self._network.inputs(self._network.nodes[layer.node])[0].shape) == 1
            size = getattr(op, kernel)
            sides = size if isinstance(size, Sequence) else (size, size)
            head += f" {_short(size) if vector else '×'.join(map(str, sides))}"
        if width is not None and said and width not in unsaid:
            head += f", {said}" if kernel is not None else f" {said}"
        for letter, name in letters.items():
            if name not in unsaid:
                mark = letter
                if letter == "s" and kernel is not None:
                    mark = "×" if op.kind in ENLARGING else "/"
                arguments.append(mark + _short(getattr(op, name)))
        return ", ".join([head, *arguments])


def width_of(box: LayerText | BlockText) -> str:
    """The 32 of ``c32k3``, ``FC32`` or ``SEW Block (c32)``; empty: it says none."""
    if isinstance(box, BlockText):
        found = _C.search(box.arguments)
        return found[0].removeprefix("c") if found else ""
    name = box.op.letters().get("")
    return "" if name is None else _short(getattr(box.op, name))


def _short(value: object) -> str:
    """One number for two equal ones."""
    if isinstance(value, tuple):
        return "×".join(map(str, value if len(set(value)) > 1 else value[:1]))
    return str(int(value)) if isinstance(value, bool) else str(value)
