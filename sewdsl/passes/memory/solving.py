"""The cheapest set of things whose sizes add up to what is needed at every moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

RELATIVE_GAP = 0.001
"""By how much a set may cost more than the cheapest there is."""
MAX_SEARCH_NODES = 2000
"""Branches that are looked at; a bound of time would give one set today and another tomorrow."""


class SavingTarget(NamedTuple):
    """What has to be saved at a moment.

    Attributes:
        sizes: Of the things that can save anything then.
        bytes: How much they have to save together.
    """

    sizes: Mapping[int, int]
    bytes: int

    @property
    def met(self) -> bool:
        """Whether all of them together save enough."""
        return sum(self.sizes.values()) >= self.bytes


def min_cost_cover(costs: Mapping[int, int], needs: Sequence[SavingTarget]) -> frozenset[int] | None:
    """The set of least cost that meets all needs; None: there is none.

    Args:
        costs: Of the things, >= 0.
        needs: What is needed.
    """
    import numpy as np  # noqa: PLC0415 -- these take longer to import than a small network to compile
    from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415
    from scipy.sparse import csr_array  # noqa: PLC0415

    needs = [need for need in needs if need.bytes > 0]
    if not needs:
        return frozenset()
    if not all(need.met for need in needs):
        return None
    things = sorted(costs)
    column = {thing: place for place, thing in enumerate(things)}
    entries = [(row, column[i], size) for row, need in enumerate(needs) for i, size in need.sizes.items()]
    rows, columns, sizes = (np.array(part) for part in zip(*entries, strict=True))
    least = np.array([need.bytes for need in needs], dtype=float)
    matrix = csr_array((sizes / least[rows], (rows, columns)), shape=(len(needs), len(things)))
    weights = np.array([costs[thing] for thing in things], dtype=float)
    found = milp(
        weights / max(weights.max(), 1.0),
        constraints=LinearConstraint(matrix, lb=1.0),
        integrality=np.ones(len(things)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": RELATIVE_GAP, "node_limit": MAX_SEARCH_NODES},
    )
    if found.x is None:
        return None
    return frozenset(thing for thing, chosen in zip(things, found.x, strict=True) if chosen > 0.5)  # noqa: PLR2004
