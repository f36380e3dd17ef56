"""Zero initialisation of blocks without a final batch norm."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.analysis.residual_blocks import branch_end, is_residual
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Report blocks that 'init zero' cannot make an identity: it sets the last batch norm of the branch (Sec. 3.3)."""
    # After an error, a branch can be incomplete.
    if not (network.settings.zero_init and whole):
        return
    for index, node in enumerate(network):
        if is_residual(network, index) and branch_end(network, node).norm is None:
            yield node.diagnostic(
                "zero-init-needs-norm",
                Severity.ERROR,
                f"'init zero' cannot make this block an identity: its branch ends in {branch_end(network, node).why}",
                label="expected a branch that ends in BN, or in BN and a neuron",
                help="end the branch with BN or BN-SN, or remove 'zero' from 'init'",
            )
