"""The body of a network as papers print it, as LaTeX source."""

from __future__ import annotations

from sewdsl.ir.network import Network
from sewdsl.notation.tex import tex
from sewdsl.notation.text import body_items
from sewdsl.notation.tree import IDENTITY, BlockText, Item, Items, JoinText, LayerText, RepeatText, item_text

BREAK = r"\allowbreak"
"""Where a line of the paper may end: behind a hyphen, also in fonts in which TeX does not break there by itself."""
SOURCE_WIDTH = 80
"""Characters of a line of the source."""
HYPHENATED = 6
"""Letters of a word that TeX might part, with a hyphen that would read as one of the notation."""


def latex(network: Network) -> str:
    r"""A network as LaTeX prints it in running text: ``c32k3s1-\allowbreak BN-\allowbreak \{…\}*7-\allowbreak FC11``.

    It needs no package, and typesets in any font; lines end behind hyphens, and at the blanks of a call.

    Args:
        network: Any network, as for :func:`sewdsl.notation.text.compact_text`.

    Raises:
        Unwritable: no text of the language gives this network; the message names a node.
    """
    first, *pieces = _sequence(body_items(network)).split(f"{BREAK} ")
    lines = [first]
    for piece in pieces:
        lines[-1] += BREAK
        if len(lines[-1]) + len(piece) < SOURCE_WIDTH:
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    return "\n".join(lines)


def _sequence(items: Items) -> str:
    return f"-{BREAK} ".join(map(_item, items)) or IDENTITY


def _item(item: Item) -> str:
    match item:
        case LayerText(text):
            return tex(text)
        case JoinText(name, branch, shortcut):
            return rf"{tex(name)}[{_sequence(branch)}\,\textbar\,{BREAK} {_sequence(shortcut)}]"
        case BlockText():
            return " ".join(map(_word, item_text(item).split()))
        case RepeatText(inner, count):
            return rf"\{{{_sequence(inner)}\}}*{count}"


def _word(word: str) -> str:
    return rf"\mbox{{{tex(word)}}}" if word.isalpha() and len(word) >= HYPHENATED else tex(word)
