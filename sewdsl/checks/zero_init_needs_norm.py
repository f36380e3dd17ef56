"""Zero-initialisation of a block that has no batch norm to set."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.analysis.residual_blocks import branch_end, is_residual
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Sec. 3.3: the last batch norm of the branch is what makes the branch neutral."""
    if not (network.settings.zero_init and whole):
        return
    for index, node in enumerate(network):
        if is_residual(network, index) and branch_end(network, node).norm is None:
            yield Diagnostic(
                "zero-init-needs-norm",
                Severity.ERROR,
                f"'init zero' cannot make this block an identity: its branch ends in {branch_end(network, node).why}",
                node.span,
                label="needs a branch that ends in BN, or in BN and a neuron",
                help="end the branch with BN or BN-SN, or leave 'zero' out of 'init'",
                path=node.where,
            )
