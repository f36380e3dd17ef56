"""The body of a network as papers print it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from sewdsl.diagnostics import Diagnostics
from sewdsl.ir.network import Network
from sewdsl.notation.blocks import Blocks
from sewdsl.notation.define import proposals
from sewdsl.notation.fold import fold
from sewdsl.notation.structure import structure
from sewdsl.notation.tree import Block, Definition, Items, definition_head, nodes, text, walk
from sewdsl.notation.wording import Wording
from sewdsl.source import Source
from sewdsl.syntax.lexicon import VERSION
from sewdsl.syntax.limits import Limits
from sewdsl.syntax.parser import parse
from sewdsl.syntax.tree import BlockDefinition

ANY = Limits(source_bytes=10**9, nesting=1000, repeat=10**9, digits=18)
"""However large a network is, its text can be read."""


def compact(network: Network) -> str:
    """A network in one line: ``c32k3s1-BN-PLIF-{SEW Block (c32)-MPk2s2}*7-FC11``.

    What the header says, such as the arguments of its neuron and which join ``g`` is, is not said again: compiled with
    the same settings, the text gives the same layers with the same arguments, joined the same way.

    Args:
        network: Any network; of the paths of its nodes only calls of blocks without a join are looked at, since nothing
            else tells these from the same layers in full.

    Raises:
        Unwritable: no text of the language gives this network; the message names a node.
    """
    return text(written(network))


def written(network: Network) -> Items:
    """The body of a network as a tree, with repeats and calls of the blocks that every text may call.

    Raises:
        Unwritable: no text of the language gives this network; the message names a node.
    """
    wording, items = unfolded(network)
    return _folded(Blocks(network, wording, items), items)


def defined(network: Network, *, nameless: bool = True) -> tuple[tuple[Definition, ...], Items]:
    """The body of a network as a tree, and the blocks of its own that it calls.

    Args:
        network: Any network.
        nameless: Whether blocks that the network has no name for get one, such as ``Block A``.

    Raises:
        Unwritable: no text of the language gives this network; the message names a node.
    """
    found, _, folded = _defined(network, nameless=nameless)
    return found, folded


def called(network: Network) -> tuple[Items, Items]:
    """The body of a network with calls of blocks, those of its own too: without repeats, and with them.

    Calls of blocks without a join are in the latter only.

    Raises:
        Unwritable: no text of the language gives this network; the message names a node.
    """
    _, named, folded = _defined(network)
    return named, folded


def _defined(network: Network, *, nameless: bool = True) -> tuple[tuple[Definition, ...], Items, Items]:
    """The blocks of its own; the body without repeats, but with calls of blocks that have a join; the body."""
    wording, items = unfolded(network)
    blocks = Blocks(network, wording, items)
    plain = _folded(blocks, items)
    found = proposals(network, items, plain, nameless=nameless)
    while found:
        own = Blocks(network, wording, items, _parsed(found))
        folded = _folded(own, items)
        kept = tuple(_worth_it(found, folded, plain))
        if kept == found:
            return found, own.named(items), folded
        found = kept
    return (), blocks.named(items), plain


def _worth_it(definitions: Sequence[Definition], folded: Items, plain: Items) -> Iterator[Definition]:
    """Definitions that are called several times; or only once, where all is shorter so."""
    calls = Counter(item.title for item in walk(folded) if isinstance(item, Block))
    defined = sum(len(definition_head(one)) + len(text(one.items)) for one in definitions)
    least = 1 if len(text(folded)) + defined < len(text(plain)) else 2
    yield from (one for one in definitions if calls[one.title] >= least)


def unfolded(network: Network) -> tuple[Wording, Items]:
    """The body without repeats and calls; what is written of a node depends on where it stands, so it comes second."""
    wording = Wording(network, nodes(structure(network)))
    return wording, structure(network, wording.node)


def _folded(blocks: Blocks, items: Items) -> Items:
    return fold(blocks.named(items), blocks.calls)


def _parsed(definitions: Iterable[Definition]) -> dict[str, BlockDefinition]:
    """Definitions as the compiler knows them."""
    lines = "".join(f"{definition_head(one)}{text(one.items)}\n" for one in definitions)
    statements = parse(Source("", f"sewdsl {VERSION}\n{lines}"), Diagnostics(), ANY).statements
    return {one.name.plain or "": one for one in statements if isinstance(one, BlockDefinition)}
