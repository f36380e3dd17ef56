"""ReLU before the addition, block after block: an output that can only grow."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.analysis.residual_blocks import ResidualBlock, identity_chains
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ops.joins import Add
from sewdsl.ops.neurons.activations import ReLU


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Eq. 10: Y = ReLU(F(X)) + X is never less than X.

    k SEW blocks with ADD give at most k + 1 (Sec. 3.3), which the ranges of ``sewdsl show`` say exactly.
    """

    def grows(block: ResidualBlock) -> bool:
        join = network.nodes[block.join]
        end = network.nodes[join.inputs[0]].op
        return block.activation is None and isinstance(end, ReLU) and isinstance(join.op, Add)

    for row in identity_chains(network, grows):
        if len(row) > 1:
            join = network.nodes[row[-1].join]
            yield Diagnostic(
                "growing-output",
                Severity.WARNING,
                f"{len(row)} blocks in a row add what is never negative: the output grows without bound (Eq. 10)",
                join.span,
                label="its branch ends in ReLU",
                help="put the ReLU after the addition, as in a Basic Block",
                path=join.where,
            )
