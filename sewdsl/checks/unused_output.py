"""Outputs that no loss of the recipe trains."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Warn about outputs that are neither trained nor the target of another loss."""
    recipe, names = network.recipe, [name for name, _ in network.outputs]
    # Without a loss for an output, and with unknown outputs, the recipe has an error.
    if not whole or recipe is None or not all(term.output in names for term in recipe.losses) or not recipe.losses:
        return
    used = {name for term in recipe.losses for name in (term.output, term.loss.target)}
    if unused := [name for name in names if name not in used]:
        outputs = " or ".join(f"'{name}'" for name in unused)
        message, hint = f"no loss trains the output {outputs}", "add a 'loss' line, or remove the output"
        node = network.nodes[dict(network.outputs)[unused[0]]]
        yield Diagnostic("unused-output", message, node.span, help=hint, severity=Severity.WARNING)
