"""Attention whose scores have other keys than its values."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ir.op import WeightedLayer
from sewdsl.ops.attention import Apply, Scores


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Report each APPLY that reads the channels of its scores as other heads or time-steps than SCORES wrote them.

    APPLY infers the number of heads from the channels. With another ``chunk``, or values at another number of
    positions, the number of channels can be divisible nevertheless, and the keys would be multiplied by wrong values.
    """
    for node in network:
        if not isinstance(node.op, Apply):
            continue
        heads, _ = node.op.heads_and_terms(*(network.nodes[source].output for source in node.inputs))
        for scores in _scores(network, node.inputs[0]):
            if (scores.heads, scores.chunk) != (heads, node.op.chunk):
                message = (
                    f"APPLY reads scores of {scores.heads} heads with chunk={scores.chunk} as scores of {heads} heads "
                    f"with chunk={node.op.chunk}"
                )
                yield Diagnostic(
                    "join-shape-mismatch",
                    Severity.ERROR,
                    message,
                    node.span,
                    label="incompatible operands",
                    help="use an equal chunk in SCORES and APPLY, and equally many positions for keys and values",
                    path=node.where,
                )
                break


def _scores(network: Network, index: int) -> Iterator[Scores]:
    """Yield the SCORES whose channels reach a node without being mixed by weights."""
    channels = network.nodes[index].output.channels
    waiting, seen = [index], {index}
    while waiting:
        node = network.nodes[waiting.pop()]
        if isinstance(node.op, Scores):
            yield node.op
        elif not isinstance(node.op, WeightedLayer):
            sources = {source for source in node.sources if network.nodes[source].output.channels == channels} - seen
            seen |= sources
            waiting += sources
