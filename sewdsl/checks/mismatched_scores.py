"""Attention whose scores have other keys than its values."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ir.op import WeightedLayer
from sewdsl.ops.attention import Apply, Scores

MAX_PAIRS = 2
"""Largest number of different pairs of heads and chunk to store for a node."""


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Report each APPLY that reads the channels of scores as other heads or time-steps than SCORES wrote.

    APPLY infers the number of heads from the channels. With another ``chunk``, or values at another number of
    positions, the number of channels can be divisible nevertheless, and the keys would be multiplied by wrong values.
    """
    reaching = _reaching_scores(network)
    for node in network:
        if not isinstance(node.op, Apply):
            continue
        heads, _ = node.op.heads_and_terms(*(network.nodes[source].output for source in node.inputs))
        expected = heads, node.op.chunk
        other = next((each for each in reaching.get(node.inputs[0], ()) if each != expected), None)
        if other is not None:
            message = (
                f"SCORES has heads={other[0]} and chunk={other[1]}, "
                f"but APPLY reads the scores with heads={heads} and chunk={node.op.chunk}"
            )
            yield node.diagnostic(
                "join-shape-mismatch",
                Severity.ERROR,
                message,
                label="incompatible operands",
                help="use an equal chunk in SCORES and APPLY, and equally many positions for keys and values",
            )


def _reaching_scores(network: Network) -> dict[int, tuple[tuple[int, int], ...]]:
    """Return heads and chunk of the SCORES whose channels reach each node without being mixed by weights.

    At most two different pairs per node are returned: of two, at least one differs from that of an APPLY.
    """
    nodes = network.nodes
    readers: dict[int, list[int]] = {}
    for index, node in enumerate(nodes):
        for source in node.sources:
            readers.setdefault(source, []).append(index)
    reaching: dict[int, tuple[tuple[int, int], ...]] = {}
    waiting = [
        (index, (node.op.heads, node.op.chunk)) for index, node in enumerate(nodes) if isinstance(node.op, Scores)
    ]
    # Each node is passed at most twice, so that the time is linear in the edges, also with cycles.
    while waiting:
        index, pair = waiting.pop()
        before = reaching.get(index, ())
        if pair in before or len(before) == MAX_PAIRS:
            continue
        reaching[index] = (*before, pair)
        waiting += [
            (reader, pair)
            for reader in readers.get(index, ())
            if nodes[reader].output.channels == nodes[index].output.channels
            and not isinstance(nodes[reader].op, WeightedLayer | Scores)
        ]
    return reaching
