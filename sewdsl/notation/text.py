"""The body of a network as papers print it."""

from __future__ import annotations

from sewdsl.elaborate.library import library
from sewdsl.ir.network import Network
from sewdsl.notation.blocks import Blocks
from sewdsl.notation.fold import fold
from sewdsl.notation.structure import structure
from sewdsl.notation.tree import Items, text
from sewdsl.notation.wording import Wording


def compact(network: Network) -> str:
    """A network in one line: ``c32k3s1-BN-PLIF-{SEW Block (c32)-MPk2s2}*7-FC11``.

    What the header says, such as the arguments of its neuron and which join ``g`` is, is not said again: compiled with
    the same settings, the text gives the same layers with the same arguments, joined the same way.

    Args:
        network: Any network; names and paths of its nodes are not looked at.

    Raises:
        Unwritable: no text of the language gives this network; the message names a node.
    """
    return text(written(network))


def written(network: Network) -> Items:
    """The body of a network as a tree, with repeats and calls of the blocks that every text may call.

    Raises:
        Unwritable: no text of the language gives this network; the message names a node.
    """
    items = structure(network, Wording(network).node)
    blocks = Blocks(network, items, library())
    return fold(blocks.named(items), blocks.calls)
