"""A Spiking block whose neuron changes the spikes that it should pass on."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.analysis.residual_blocks import identity_blocks
from sewdsl.analysis.spike_transmission import IdentityViolation, activation_failure, first_identity_violation
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ir.op import Neuron

MAX_NEURONS = 200
"""Neurons, each with other arguments, whose potentials are followed; the rest of many is not judged."""


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Sec. 3.2: with F = 0 a Spiking block gives SN(S), which is S for IF with 0 < v_threshold <= 1.

    A SEW block needs no such neuron: its join gives S where the branch is neutral (Sec. 3.3).
    """
    failures: dict[Neuron, IdentityViolation | None] = {}
    for block in identity_blocks(network):
        neuron, join = network.nodes[block.end].op, network.nodes[block.join]
        if block.activation is None:
            continue
        if not isinstance(neuron, Neuron):
            said = activation_failure(neuron, network.nodes[block.source].output.values, network.settings.steps)
            if said:
                yield Diagnostic(
                    "no-identity-mapping",
                    Severity.WARNING,
                    f"with a neutral branch, this block {said} (Sec. 3.2)",
                    join.span,
                    label=f"{neuron.kind} follows the {join.op.kind}",
                    help="use a SEW block, which is one with any neuron",
                    path=join.where,
                )
            continue
        if neuron not in failures:
            if len(failures) == MAX_NEURONS:
                continue
            failures[neuron] = first_identity_violation(neuron, network.settings.steps)
        wrong, values = failures[neuron], network.nodes[block.source].output.values
        learned = ", ".join(neuron.learnable())
        outcome = "is not an identity"
        help_ = "use a SEW block, which is one with any neuron, or IF with v_reset=0.0 and 0 < v_threshold <= 1"
        if not values.binary:
            reason = f"its input is {values}, and {neuron.kind} outputs spikes only"
            help_ = "put a neuron before the block, or use a SEW block"
        elif wrong is not None:
            sent = "sent a spike" if wrong.spike else "sent none"
            reason = f"{sent} at V = {wrong.v:.3g}, {neuron.kind} reaches H = {wrong.h:.3g} of {neuron.v_threshold:.3g}"
        elif learned:
            outcome = "may cease to be an identity"
            reason = f"{neuron.kind} learns {learned}, and with it which spikes it passes on"
        else:
            continue
        yield Diagnostic(
            "no-identity-mapping",
            Severity.WARNING,
            f"with a neutral branch, this block {outcome}: {reason} (Sec. 3.2)",
            join.span,
            label=f"{neuron.kind} follows the {join.op.kind}",
            help=help_,
            path=join.where,
        )
