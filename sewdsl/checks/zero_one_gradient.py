"""A surrogate that knows two gradients only."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.analysis.residual_blocks import residual_blocks
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ir.op import Spiking, Surrogate

SAMPLE_DISTANCES = [0.0, *(sign * 2.0**exponent for sign in (-1, 1) for exponent in range(-24, 3))]
"""Distances from the threshold at which a surrogate is looked at, however narrow it is."""


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Appendix A.5: 0/1 gradients neither vanish nor explode by Eq. 8, and yet learn less or nothing (Table 9).

    In SEW ResNet, those that are 0 away from the threshold learn as well as others.
    """
    spiking = {block.activation for block in residual_blocks(network)}
    said: set[Surrogate] = set()
    known: dict[Surrogate, frozenset[float]] = {}
    for index, node in enumerate(network):
        if not isinstance(node.op, Spiking) or node.op.surrogate in said:
            continue
        surrogate = node.op.surrogate
        if surrogate not in known:
            known[surrogate] = frozenset(float(surrogate.derivative(u)) for u in SAMPLE_DISTANCES)
        gradients = known[surrogate]
        if len(gradients - {0.0}) != 1 or (0.0 in gradients and index not in spiking):
            continue
        said.add(surrogate)
        message = (
            f"{surrogate} gives every spike the same gradient or none, with which Spiking blocks learn less"
            if 0.0 in gradients
            else f"{surrogate} gives every potential the same gradient, with which networks learn nothing"
        )
        yield Diagnostic(
            "zero-one-gradient",
            Severity.WARNING,
            f"{message} (Tab. 9)",
            node.span,
            label="see appendix A.5",
            help="use a surrogate that falls off, such as ATan(alpha=2.0)",
            path=node.where,
        )
