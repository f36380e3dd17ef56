"""AND blocks in a row, which can only lose spikes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from sewdsl.analysis.residual_blocks import ResidualBlock, identity_chains
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ops.joins import And


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Sec. 4.1: each AND keeps only the spikes at which its branch fires too, so that deep layers fall silent."""

    def conjoined(block: ResidualBlock) -> bool:
        return block.activation is None and isinstance(network.nodes[block.join].op, And)

    for row in identity_chains(network, conjoined):
        if len(row) > 1:
            join = network.nodes[row[-1].join]
            pooled = any(block.source != before.end for before, block in pairwise(row))
            left = f"at a firing rate of 1/2 in each branch, {0.5 ** len(row):.2g} of the spikes are left"
            yield Diagnostic(
                "and-in-a-row",
                Severity.WARNING,
                f"{len(row)} AND blocks in a row: {'each can only lose spikes' if pooled else left} (Sec. 4.1)",
                join.span,
                label="each keeps only spikes at which its branch fires too",
                help="use ADD or IAND, which are identities where the branch is silent",
                path=join.where,
            )
