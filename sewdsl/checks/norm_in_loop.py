"""Batch norms in loops, which normalise one time-step at a time."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ops.layers.norms import Norm


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Note once that batch statistics in a loop cover one time-step instead of all."""
    looped = [network.nodes[index] for index in network.graph.looped]
    norms = sorted((node for node in looped if isinstance(node.op, Norm)), key=lambda node: node.span.start)
    if norms:
        subject = f"{len(norms)} batch norms in a loop use" if len(norms) > 1 else f"{norms[0].op.kind} in a loop uses"
        yield norms[0].diagnostic(
            "norm-in-loop",
            Severity.NOTE,
            f"{subject} the statistics of a single time-step in training",
            help="use LN or GN, which need no batch statistics, or add 'allow norm-in-loop \"reason\"'",
        )
