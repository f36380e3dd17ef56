"""A Spiking block whose neuron changes the spikes that it should pass on."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ir.op import Neuron
from sewdsl.ops.residual import identities
from sewdsl.ops.transmission import failure


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:  # noqa: ARG001, FBT001 -- the signature of all rules
    """Sec. 3.2: with F = 0 a Spiking block gives SN(S), which is S for IF with 0 < v_threshold <= 1.

    A SEW block needs no such neuron: its join gives S where the branch is neutral (Sec. 3.3).
    """
    for block in identities(network):
        neuron = network.nodes[block.end].op
        if block.activation is None or not isinstance(neuron, Neuron):
            continue
        why = _why_not(neuron, counts=not network.nodes[block.source].output.values.binary)
        if why:
            join = network.nodes[block.join]
            yield Diagnostic(
                "no-identity-mapping",
                Severity.WARNING,
                f"this block cannot be an identity: {why} (Sec. 3.2)",
                join.span,
                label=f"{neuron.kind} stands behind the addition",
                help="use a SEW block, whose neuron stands before it, or IF with 0 < v_threshold <= 1",
                path=join.where,
            )


def _why_not(neuron: Neuron, *, counts: bool) -> str:
    """Why SN(S) is not S; empty where it is, or where nothing is known."""
    if counts:
        return f"its input is no spikes, and {neuron.kind} gives nothing else"
    wrong = failure(neuron)
    if wrong is not None:
        sent = "sent a spike" if wrong.spike else "sent none"
        return f"{sent} at V = {wrong.v:.3g}, {neuron.kind} reaches H = {wrong.h:.3g} of {neuron.v_threshold:.3g}"
    learned = ", ".join(neuron.learnable())
    return f"{neuron.kind} learns {learned}, and with it which spikes it passes on" if learned else ""
