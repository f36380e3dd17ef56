"""Surrogates with a single non-zero gradient."""

from __future__ import annotations

from collections.abc import Iterator

from sewdsl.analysis.residual_blocks import residual_blocks
from sewdsl.diagnostics import Diagnostic, Severity
from sewdsl.ir.network import Network
from sewdsl.ir.op import Spiking, Surrogate

SAMPLE_DISTANCES = [0.0, *(sign * 2.0**exponent for sign in (-1, 1) for exponent in range(-24, 3))]
"""Distances from the threshold at which a surrogate is evaluated. Powers of 2 cover narrow and wide surrogates."""


def check(network: Network, whole: bool) -> Iterator[Diagnostic]:
    """Warn about 0/1 gradients, which neither vanish nor explode (Eq. 8) but learn less (appendix A.5, Table 9).

    In SEW ResNet, a surrogate that is 0 away from the threshold learns as well as others.
    """
    spiking = {block.activation for block in residual_blocks(network)}
    reported: set[Surrogate] = set()
    gradients_of: dict[Surrogate, frozenset[float]] = {}
    for index, node in enumerate(network):
        if not isinstance(node.op, Spiking) or node.op.surrogate in reported:
            continue
        surrogate = node.op.surrogate
        if surrogate not in gradients_of:
            gradients_of[surrogate] = frozenset(float(surrogate.derivative(u)) for u in SAMPLE_DISTANCES)
        gradients = gradients_of[surrogate]
        # A surrogate with zeros only harms Spiking blocks, where the gradient passes through the neuron.
        if len(gradients - {0.0}) != 1 or (0.0 in gradients and index not in spiking):
            continue
        reported.add(surrogate)
        message = (
            f"the gradient of {surrogate} is constant where it is not 0; Spiking blocks learn less with it"
            if 0.0 in gradients
            else f"the gradient of {surrogate} is the same for every membrane potential; networks do not learn with it"
        )
        yield node.diagnostic(
            "zero-one-gradient",
            Severity.WARNING,
            f"{message} (Fang et al. 2021, Tab. 9)",
            label="neuron with this surrogate",
            help="use a surrogate that decreases away from the threshold, e.g. ATan(alpha=2.0)",
        )
