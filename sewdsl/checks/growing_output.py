"""Consecutive blocks with ReLU before the addition, whose output can only grow."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.analysis.residual_blocks import ResidualBlock, identity_chains
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ops.joins import Add
from sewdsl.ops.neurons.activations import ReLU


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Warn about consecutive blocks Y = ReLU(F(X)) + X, which is never less than X (Eq. 10).

    SEW blocks are exempt: k of them with ADD output at most k + 1 (Sec. 3.3).
    """

    def grows(block: ResidualBlock) -> bool:
        join = network.nodes[block.join]
        end = network.nodes[join.inputs[0]].op
        return block.activation is None and isinstance(end, ReLU) and isinstance(join.op, Add)

    for chain in identity_chains(network, grows):
        if len(chain) > 1:
            join = network.nodes[chain[-1].join]
            yield join.diagnostic(
                "growing-output",
                Severity.WARNING,
                f"{len(chain)} consecutive blocks add non-negative values: the output grows with depth "
                "(Fang et al. 2021, Eq. 10)",
                label="branch ends in ReLU",
                help="move the ReLU after the addition, as in Basic Block",
            )
