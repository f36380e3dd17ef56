"""The forms in which a network can be written: each is one function of a network, in a file of its own."""

from __future__ import annotations

from collections.abc import Callable

from sewdsl.ir.network import Network
from sewdsl.notation.compact_text import compact_text
from sewdsl.notation.latex import latex
from sewdsl.notation.net_file import write_net
from sewdsl.notation.tikz import fragment, tikz

FORMS: dict[str, Callable[[Network], str]] = {
    "plain": compact_text,
    "net": write_net,
    "latex": latex,
    "tikz": tikz,
    "tikz-fragment": fragment,
}
"""By the name after ``sewdsl notation --as``; the first is the default."""
ENDINGS: dict[str, str] = {".net": "net"}
"""The form that a file's ending means, unless another one is asked for."""
