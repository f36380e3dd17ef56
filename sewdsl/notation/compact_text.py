"""The body of a network as papers print it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from sewdsl.ir.network import Network
from sewdsl.limits import Limits
from sewdsl.notation.fold_repeats import fold_repeats
from sewdsl.notation.item_text import (
    BlockText,
    Definition,
    TextItems,
    definition_head,
    item_nodes,
    item_text,
    items_text,
    network_items,
    outputs_text,
    split_lets,
    walk_items,
)
from sewdsl.notation.kind_text import NodeTexts
from sewdsl.notation.match_blocks import Blocks
from sewdsl.notation.propose_blocks import propose_blocks
from sewdsl.source import Source
from sewdsl.syntax.lexicon import VERSION
from sewdsl.syntax.parser import parse
from sewdsl.syntax.tree import BlockDefinition

UNLIMITED = Limits(source_bytes=10**9, nesting=1000, repeat=10**9, digits=18)
"""However large a network is, its text can be read."""


def compact_text(network: Network) -> str:
    """A network in one line: ``c32k3s1-BN-PLIF-{SEW Block (c32)-MPk2s2}*7-FC11``.

    What the header says, such as the arguments of its neuron and which join ``g`` is, is not said again: compiled with
    the same settings, the text gives the same layers with the same arguments, joined the same way. Values that several
    sequences read come before it, each in a line of its own, ``let low = …``; only a file can hold these.

    Args:
        network: Any network; of the paths of its nodes only calls of blocks without a join are looked at, since nothing
            else tells these from the same layers in full.

    Raises:
        UnwritableNetwork: no text of the language gives this network; the message names a node.
    """
    lets, body = split_lets(body_items(network))
    return "\n".join([*map(item_text, lets), outputs_text(network) if network.outputs else items_text(body)])


def body_items(network: Network) -> TextItems:
    """The body of a network as a tree, with repeats and calls of the blocks that every text may call.

    Raises:
        UnwritableNetwork: no text of the language gives this network; the message names a node.
    """
    wording, items = body_unfolded(network)
    return _folded(Blocks(network, wording, items), items)


def body_with_own_blocks(
    network: Network, *, nameless: bool = True
) -> tuple[tuple[Definition, ...], TextItems, TextItems]:
    """The blocks of a network's own; its body without repeats, but with calls of blocks that have a join; its body.

    Args:
        nameless: Whether blocks that the network has no name for get one, such as ``Block A``.
    """
    wording, items = body_unfolded(network)
    blocks = Blocks(network, wording, items)
    plain = _folded(blocks, items)
    found = propose_blocks(network, items, plain, nameless=nameless)
    while found:
        own = Blocks(network, wording, items, _parsed(found))
        folded = _folded(own, items)
        kept = tuple(_worth_it(found, folded, plain))
        if kept == found:
            return found, own.named(items), folded
        found = kept
    return (), blocks.named(items), plain


def _worth_it(definitions: Sequence[Definition], folded: TextItems, plain: TextItems) -> Iterator[Definition]:
    """Definitions that are called several times; or only once, where all is shorter so."""
    calls = Counter(item.title for item in walk_items(folded) if isinstance(item, BlockText))
    defined = sum(len(definition_head(one)) + len(items_text(one.items)) for one in definitions)
    least = 1 if len(items_text(folded)) + defined < len(items_text(plain)) else 2
    yield from (one for one in definitions if calls[one.title] >= least)


def body_unfolded(network: Network) -> tuple[NodeTexts, TextItems]:
    """The body without repeats and calls; what is written of a node depends on where it is, so it comes second."""
    wording = NodeTexts(network, item_nodes(network_items(network)))
    return wording, network_items(network, wording.node)


def _folded(blocks: Blocks, items: TextItems) -> TextItems:
    return fold_repeats(blocks.named(items), blocks.calls)


def _parsed(definitions: Iterable[Definition]) -> dict[str, BlockDefinition]:
    """Definitions as the compiler knows them."""
    lines = "".join(f"{definition_head(one)}{items_text(one.items)}\n" for one in definitions)
    statements = parse(Source("", f"sewdsl {VERSION}\n{lines}"), UNLIMITED).value.statements
    return {one.name.plain or "": one for one in statements if isinstance(one, BlockDefinition)}
