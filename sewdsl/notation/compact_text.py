"""Layer string of a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from sewdsl.ir.network import Network
from sewdsl.limits import Limits
from sewdsl.notation.fold_repeats import fold_repeats
from sewdsl.notation.item_text import (
    BlockText,
    Definition,
    PartText,
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
from sewdsl.notation.part_text import TextScope, scopes
from sewdsl.notation.propose_blocks import propose_blocks
from sewdsl.source import Source
from sewdsl.syntax.lexicon import VERSION
from sewdsl.syntax.parser import parse
from sewdsl.syntax.tree import BlockDefinition

UNLIMITED = Limits(source_bytes=10**9, nesting=1000, repeat=10**9, digits=18)
"""Limits for compiling the text of any network."""


def compact_text(network: Network) -> str:
    """Return the layer string of a network, e.g. ``c32k3s1-BN-PLIF-{SEW Block (c32)-MPk2s2}*7-FC11``.

    With equal settings, the string compiles to equal layers with equal arguments and edges. It does not repeat
    settings, e.g. the arguments of the neuron. Values that several sequences read precede it, one line ``let low = …``
    each. Such lines are valid in files only.

    Args:
        network: Any network. Paths of its nodes only determine calls of blocks without a join, which look like their
            layers otherwise.

    Raises:
        UnwritableNetwork: If no text of the language compiles to this network. The message names a node.
    """
    lets, body = split_lets(body_items(network))
    return "\n".join([*map(item_text, lets), outputs_text(network) if network.outputs else items_text(body)])


def body_items(network: Network) -> TextItems:
    """Return the parts and the body of a network as items, with repeats and calls of shipped blocks.

    Raises:
        UnwritableNetwork: If no text of the language compiles to this network. The message names a node.
    """
    *parts, body = scopes(network)
    return *part_items(parts), *body.located(_scope_items(body, parts))


def part_items(parts: Sequence[TextScope]) -> Iterator[PartText]:
    """Yield the definitions of parts, with repeats and calls of shipped blocks."""
    for part in parts:
        yield PartText(part.title, part.located(_scope_items(part, parts)), part.operands)


def _scope_items(scope: TextScope, parts: Sequence[TextScope]) -> TextItems:
    wording, items = body_unfolded(scope.network, [*(part.title for part in parts), *scope.operands])
    return _folded(Blocks(scope.network, wording, items), items)


def body_with_own_blocks(
    network: Network, *, nameless: bool = True, parts: Collection[str] = ()
) -> tuple[tuple[Definition, ...], TextItems, TextItems]:
    """Return the blocks of a network, its unfolded body with calls of blocks with joins, and its folded body.

    Args:
        network: Network of a scope, in which calls of parts are nodes.
        nameless: Whether to name blocks without a name in the network, e.g. ``Block A``.
    """
    node_texts, items = body_unfolded(network, parts)
    blocks = Blocks(network, node_texts, items)
    plain = _folded(blocks, items)
    definitions = propose_blocks(network, items, plain, nameless=nameless)
    # Dropping a definition changes the calls of the others, so repeat until all are useful.
    while definitions:
        own_blocks = Blocks(network, node_texts, items, _parsed(definitions))
        folded = _folded(own_blocks, items)
        useful = tuple(_useful_definitions(definitions, folded, plain))
        if useful == definitions:
            return definitions, own_blocks.named(items), folded
        definitions = useful
    return (), blocks.named(items), plain


def _useful_definitions(definitions: Sequence[Definition], folded: TextItems, plain: TextItems) -> Iterator[Definition]:
    """Yield the definitions called twice, or once if the definitions shorten the whole text."""
    calls = Counter(item.title for item in walk_items(folded) if isinstance(item, BlockText))
    definition_length = sum(len(definition_head(each)) + len(items_text(each.items)) for each in definitions)
    min_calls = 1 if len(items_text(folded)) + definition_length < len(items_text(plain)) else 2
    yield from (definition for definition in definitions if calls[definition.title] >= min_calls)


def body_unfolded(network: Network, parts: Collection[str] = ()) -> tuple[NodeTexts, TextItems]:
    """Return the texts of the nodes, and the body without repeats and calls."""
    # The text of a node depends on its position: the order of the nodes comes first.
    node_texts = NodeTexts(network, item_nodes(network_items(network)))
    return node_texts, network_items(network, node_texts.node, parts)


def _folded(blocks: Blocks, items: TextItems) -> TextItems:
    return fold_repeats(blocks.named(items), blocks.calls)


def _parsed(definitions: Iterable[Definition]) -> dict[str, BlockDefinition]:
    """Parse the texts of definitions, and return the syntax trees by name."""
    lines = "".join(f"{definition_head(each)}{items_text(each.items)}\n" for each in definitions)
    statements = parse(Source("", f"sewdsl {VERSION}\n{lines}"), UNLIMITED).value.statements
    return {each.name.plain or "": each for each in statements if isinstance(each, BlockDefinition)}
