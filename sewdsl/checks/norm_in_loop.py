"""Batch norms in a loop, which see one time-step at a time."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ops.layers.norms import Norm


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Notes, once, that statistics in a loop are not those over all time-steps, as they are elsewhere."""
    found = [network.nodes[index] for index in network.graph.looped]
    norms = sorted((node for node in found if isinstance(node.op, Norm)), key=lambda node: node.span.start)
    if norms:
        several = f"{len(norms)} batch norms are" if len(norms) > 1 else f"{norms[0].op.kind} is"
        yield Diagnostic(
            "norm-in-loop",
            Severity.NOTE,
            f"{several} in a loop, where training takes the statistics of one time-step at a time",
            norms[0].span,
            help="use LN or GN, which have none, or say 'allow norm-in-loop \"why\"'",
            path=norms[0].where,
        )
