"""Spiking blocks in a row, over which gradients vanish or explode."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ir.op import Neuron
from sewdsl.ops.residual import Residual, rows
from sewdsl.ops.transmission import Slopes, slopes

FACTOR = 10
"""By how much a gradient must grow or shrink on its way to be spoken of."""


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:  # noqa: ARG001, FBT001 -- the signature of all rules
    """Eq. 8: the gradient of k blocks in a row is the product of the neurons' own, where the blocks are identities.

    That of SEW blocks is 1 (Eq. 11).
    """

    def spiking(block: Residual) -> bool:
        return block.activation is not None and _slopes(network, block) is not None

    for row in rows(network, spiking):
        silent = spike = 1.0
        for block in row:
            factor = _slopes(network, block)
            assert factor is not None  # noqa: S101 -- only such blocks belong to the row
            silent, spike = silent * factor.silent, spike * factor.spike
        if max(silent, spike) >= FACTOR:
            yield _said(network, row, "exploding-gradient", max(spike, silent))
        elif max(silent, spike) <= 1 / FACTOR:
            yield _said(network, row, "vanishing-gradient", max(silent, spike))


def _slopes(network: Network, block: Residual) -> Slopes | None:
    neuron = network.nodes[block.end].op
    return slopes(neuron) if isinstance(neuron, Neuron) else None


def _said(network: Network, row: tuple[Residual, ...], code: str, factor: float) -> Diagnostic:
    join, neuron = network.nodes[row[-1].join], network.nodes[row[-1].end].op
    one = _slopes(network, row[-1])
    assert one is not None  # noqa: S101 -- only such blocks belong to the row
    blocks = f"{len(row)} Spiking blocks in a row" if len(row) > 1 else "a Spiking block"
    advice = "smaller" if factor > 1 else "larger"
    return Diagnostic(
        code,
        Severity.WARNING,
        f"{blocks} multiply the gradient by {factor:.2g}, were they identities (Eq. 8)",
        join.span,
        label=f"{neuron.kind}: {one.spike:.3g} where there is a spike, {one.silent:.3g} where there is none",
        help=f"use SEW blocks, whose gradient is 1 (Eq. 11), or a surrogate with a {advice} derivative",
        path=join.where,
    )
