"""TikZ pictures of a network and its blocks, in the style of Figures 1 and 2 of the paper."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sewdsl.draw.labels import replace_unprintable, short_name
from sewdsl.ir.network import Network
from sewdsl.notation.compact_text import body_with_own_blocks
from sewdsl.notation.item_text import TextItems, first_node, split_lets
from sewdsl.notation.part_text import scopes
from sewdsl.notation.tikz.boxes import (
    BoxText,
    BoxTexts,
    calls_by_path,
    distinct_blocks,
    drawn_boxes,
    first_copy_note,
    has_paths,
)
from sewdsl.notation.tikz.picture import LIBRARIES, Picture, style_preamble

__all__ = ["fragment", "tikz"]


def tikz(network: Network) -> str:
    """Return a LaTeX document with one page per distinct block, per named value and for the network.

    Blocks that only differ in widths share a page. A block with a projection on its shortcut is distinct.

    Raises:
        UnwritableNetwork: If no text of the language compiles to this network. The message names a node.
    """
    pictures = "\n".join(_pictures(network))
    return (
        f"\\documentclass[tikz, border=3mm]{{standalone}}\n\\usetikzlibrary{{{LIBRARIES}}}\n{style_preamble()}"
        f"\\begin{{document}}\n\n{pictures}\n\\end{{document}}\n"
    )


def fragment(network: Network) -> str:
    """Return the pictures for inclusion in a paper: colours and styles, then one ``tikzpicture`` each.

    Raises:
        UnwritableNetwork: If no text of the language compiles to this network. The message names a node.
    """
    packages = f"% In the preamble: \\usepackage{{tikz}} \\usetikzlibrary{{{LIBRARIES}}}"
    return "\n".join([packages, style_preamble(), *_pictures(network)])


def _pictures(network: Network) -> Iterator[str]:
    """Yield a picture of each part, and those of the body."""
    *parts, body = scopes(network)
    for part in parts:
        operands = f"[{' | '.join(part.operands)}]" if part.operands else ""
        yield from _scope_pictures(part.network, f"{part.title}{operands}")
    yield from _scope_pictures(body.network)


def _scope_pictures(network: Network, part: str = "") -> Iterator[str]:
    """Yield the pictures of blocks, named values and body of a scope, with the caption of a part or none."""
    unfolded, body = calls_by_path(network) if has_paths(network) else body_with_own_blocks(network)[1:]
    box_texts = BoxTexts(network)

    def texts_of(items: TextItems) -> dict[int, BoxText]:
        return {first_node(box): box_texts.box(box) for box in drawn_boxes(items)}

    note = partial(first_copy_note, network, box_texts)
    for block in distinct_blocks(box_texts, (unfolded, body)):
        picture = Picture(network, block.items, block.texts(box_texts), note)
        yield f"% {replace_unprintable(block.caption)}\n{picture.block(BoxText.of(block.caption).source)}"
    lets, body = split_lets(body)
    for let in lets:
        picture = Picture(network, let.items, texts_of(let.items), note)
        yield f"% {let.name}\n{picture.value(BoxText.of(let.name).source)}"
    if network.outputs:
        return  # Each output is a named value, which has a picture.
    name, steps = part or short_name(network), network.settings.steps
    caption = BoxText.of(name).source + (f", $T={steps}$" if steps > 1 and not part else "")
    yield f"% {name}\n{Picture(network, body, texts_of(body), note).net(caption)}"
