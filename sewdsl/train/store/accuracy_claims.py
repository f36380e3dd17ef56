"""Claims about accuracy next to what a run has measured."""

from __future__ import annotations

from math import sqrt

from sewdsl.checks.expectation import claimed_value, measured_claims
from sewdsl.ir.network import Network


def accuracy_claims(network: Network, last: float, best: float, samples: int | None = None) -> list[str]:
    """A line for each claim about accuracy: whether it holds, and by how much it does not.

    Args:
        network: With its claims.
        last: Share of the test samples that the last weights get right.
        best: The same of the best epoch's weights.
        samples: How many test samples there are; None: not known.
    """
    found = []
    for claim in measured_claims(network, "accuracy"):
        figure = claimed_value(claim)
        if figure is None:  # the network would not be valid
            continue
        head = f"claim accuracy {claim.value}{f' ({claim.source})' if claim.source else ''}"
        holding = [name for name, share in (("last", last), ("best", best)) if figure.holds(share)]
        if holding:
            found.append(f"{head}: holds for the {' and the '.join(holding)} epoch")
            continue
        by = 100 * (best - float(figure.value))
        said = f"does not hold: the best epoch is {abs(by):.2f} points {'above' if by > 0 else 'below'} it"
        if samples:
            error = 100 * sqrt(best * (1 - best) / samples)
            said += f"; the standard error of {samples:,} samples is {error:.2f}"
        found.append(f"{head}: {said}")
    return found
