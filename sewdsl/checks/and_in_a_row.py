"""Consecutive AND blocks, which can only remove spikes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from sewdsl.analysis.residual_blocks import ResidualBlock, identity_chains
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ops.joins import And


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Warn about consecutive AND blocks: deep layers become silent (Sec. 4.1)."""

    def is_and_block(block: ResidualBlock) -> bool:
        return block.activation is None and isinstance(network.nodes[block.join].op, And)

    for chain in identity_chains(network, is_and_block):
        if len(chain) > 1:
            join = network.nodes[chain[-1].join]
            pooled = any(block.source != before.end for before, block in pairwise(chain))
            # Max pooling between the blocks raises the firing rate again, so no fraction follows.
            effect = "can only remove spikes"
            if not pooled:
                effect = f"pass only {100 * 0.5 ** len(chain):.2g} % of the spikes at a firing rate of 1/2 per branch"
            yield join.diagnostic(
                "and-in-a-row",
                Severity.WARNING,
                f"{len(chain)} consecutive AND blocks {effect} (Fang et al. 2021, Sec. 4.1)",
                label="passes a spike only if its branch also fires",
                help="use ADD or IAND, which are identities for a silent branch",
            )
