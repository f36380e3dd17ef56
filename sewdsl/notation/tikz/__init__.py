"""network -> TikZ: a picture of each of its blocks, and one of the whole, as Figures 1 and 2 of the paper look."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.draw.words import name_of, printable
from sewdsl.ir.network import Network
from sewdsl.notation.text import called
from sewdsl.notation.tikz.look import LIBRARIES, look
from sewdsl.notation.tikz.own import by_path, has_paths
from sewdsl.notation.tikz.picture import Picture
from sewdsl.notation.tikz.variants import drawn, variants
from sewdsl.notation.tikz.words import Text, Words
from sewdsl.notation.tree import first_node

__all__ = ["fragment", "tikz"]


def tikz(network: Network) -> str:
    r"""Pictures of a network's distinct blocks and of the whole, as a LaTeX document with a page for each.

    Blocks are distinct if they differ in more than widths: one that projects its shortcut is another one.

    Raises:
        Unwritable: no text of the language gives this network; the message names a node.
    """
    return (
        f"\\documentclass[tikz, border=3mm]{{standalone}}\n\\usetikzlibrary{{{LIBRARIES}}}\n{look()}"
        f"\\begin{{document}}\n\n{_pictures(network)}\n\\end{{document}}\n"
    )


def fragment(network: Network) -> str:
    r"""The same pictures for a paper of one's own: behind their colours and styles, one ``tikzpicture`` for each.

    Raises:
        Unwritable: no text of the language gives this network; the message names a node.
    """
    preamble = f"% In the preamble: \\usepackage{{tikz}} \\usetikzlibrary{{{LIBRARIES}}}"
    return f"{preamble}\n{look()}\n{_pictures(network)}"


def _pictures(network: Network) -> str:
    return "\n".join(_each(network))


def _each(network: Network) -> Iterator[str]:
    whole, body = by_path(network) if has_paths(network) else called(network)
    words = Words(network)
    for block in variants(words, (whole, body)):
        picture = Picture(network, block.items, block.texts(words))
        yield f"% {printable(block.caption)}\n{picture.block(Text.of(block.caption).source)}"
    texts = {first_node(box): words.box(box) for box in drawn(body)}
    name, steps = name_of(network), network.settings.steps
    caption = f"{Text.of(name).source}, $T={steps}$" if steps > 1 else Text.of(name).source
    yield f"% {name}\n{Picture(network, body, texts).net(caption)}"
