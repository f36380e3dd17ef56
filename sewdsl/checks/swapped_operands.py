"""Joins whose branch and shortcut are swapped."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.analysis.residual_blocks import is_residual
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ir.op import WeightedLayer


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Warn if the shortcut of a join is computed from its branch: g(A, S) takes the branch A first (Table 1)."""
    for index, node in enumerate(network):
        if is_residual(network, index) and _computes_shortcut(network, index):
            yield node.diagnostic(
                "swapped-operands",
                Severity.WARNING,
                f"branch and shortcut of {node.op.kind} are swapped: the first operand contains no layer",
                label="expected the branch first and the shortcut second",
                help=f"write {node.op.kind}[branch | id]",
            )


def _computes_shortcut(network: Network, index: int) -> bool:
    """Return whether the second operand of a join consists of layers after the first one, some with weights."""
    node, has_weights = network.nodes[index], False
    branch, last = node.inputs
    while last > branch:
        layer = network.nodes[last]
        # A named value is not a shortcut: its operands follow the order of the definitions.
        if any(step.kind == "value" and step not in node.path for step in layer.path):
            return False
        has_weights |= isinstance(layer.op, WeightedLayer)
        last = network.graph.dominators[last]
    return last == branch and has_weights
