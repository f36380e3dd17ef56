"""Spiking blocks whose neuron changes the spikes of the shortcut."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.analysis.residual_blocks import identity_blocks
from sewdsl.analysis.spike_transmission import IdentityViolation, activation_failure, first_identity_violation
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ir.op import Neuron

MAX_NEURONS = 200
"""Maximum number of different neurons that are simulated. Blocks with further neurons are not checked."""


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Warn if a Spiking block with a neutral branch does not output its input (Sec. 3.2).

    With F = 0 it outputs SN(S), which is S for IF with 0 < v_threshold <= 1. In a SEW block, the join outputs S for
    any neuron (Sec. 3.3).
    """
    failures: dict[Neuron, IdentityViolation | None] = {}
    for block in identity_blocks(network):
        neuron, join = network.nodes[block.end].op, network.nodes[block.join]
        if block.activation is None:
            continue
        if not isinstance(neuron, Neuron):
            failure = activation_failure(neuron, network.nodes[block.source].output.values, network.settings.steps)
            if failure:
                yield join.diagnostic(
                    "no-identity-mapping",
                    Severity.WARNING,
                    f"with a neutral branch, this block {failure} (Sec. 3.2)",
                    label=f"{neuron.kind} follows the {join.op.kind}",
                    help="use a SEW block, which is an identity with any neuron",
                )
            continue
        # Simulating a neuron takes much longer than a lookup, and most networks have one or two.
        if neuron not in failures:
            if len(failures) == MAX_NEURONS:
                continue
            failures[neuron] = first_identity_violation(neuron, network.settings.steps)
        violation, values = failures[neuron], network.nodes[block.source].output.values
        learned = ", ".join(neuron.learnable())
        outcome = "is not an identity"
        help_ = "use a SEW block, or IF with v_reset=0.0 and 0 < v_threshold <= 1"
        if not values.binary:
            reason = f"the value range of its input is {values}, but {neuron.kind} outputs only spikes"
            help_ = "insert a neuron before the block, or use a SEW block"
        elif violation is not None:
            spike = "with a spike" if violation.spike else "without a spike"
            reason = (
                f"{spike} at V = {violation.v:.3g}, {neuron.kind} reaches H = {violation.h:.3g} "
                f"(threshold {neuron.v_threshold:.3g})"
            )
        elif learned:
            outcome = "may stop being an identity"
            reason = f"{neuron.kind} learns {learned}, which changes its output spikes"
        else:
            continue
        yield join.diagnostic(
            "no-identity-mapping",
            Severity.WARNING,
            f"with a neutral branch, this block {outcome}: {reason} (Sec. 3.2)",
            label=f"{neuron.kind} follows the {join.op.kind}",
            help=help_,
        )
