"""A surrogate that knows two gradients only."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ir.op import Neuron, Surrogate

PLACES = [0.0, *(sign * 2.0**exponent for sign in (-1, 1) for exponent in range(-24, 3))]
"""Distances from the threshold at which a surrogate is looked at, however narrow it is."""


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:  # noqa: ARG001, FBT001 -- the signature of all rules
    """Appendix A.5: 0/1 gradients neither vanish nor explode by Eq. 8, and yet learn less or nothing (Table 9)."""
    said: set[Surrogate] = set()
    for node in network:
        if not isinstance(node.op, Neuron) or node.op.surrogate in said or not _flat(node.op.surrogate):
            continue
        said.add(node.op.surrogate)
        yield Diagnostic(
            "zero-one-gradient",
            Severity.WARNING,
            f"{node.op.surrogate} gives every spike the same gradient or none, which learns less or nothing (Tab. 9)",
            node.span,
            label="see appendix A.5",
            help="use a surrogate that falls off, such as ATan(alpha=2.0)",
            path=node.where,
        )


@lru_cache(maxsize=256)
def _flat(surrogate: Surrogate) -> bool:
    """Whether its derivative takes one value besides zero."""
    return len({float(surrogate.derivative(u)) for u in PLACES} - {0.0}) == 1
