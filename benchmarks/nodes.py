"""Texts of networks with any number of nodes."""

from __future__ import annotations

COPY = "c8k3-BN-PLIF"
NODES_IN_COPY = 3
LIMITS = {"source": 10_000_000, "repeat": 1_000_000, "nodes": 1_000_000}
"""Compiler limits for large networks, used for all sizes."""


def text(nodes: int, *, repeated: bool) -> str:
    """Return a ``.net`` file with a number of nodes: copies of a layer, then a linear layer.

    Args:
        nodes: 3 k + 1 for some k >= 1.
        repeated: Whether the copies are written as ``{…}*k`` or one after the other.
    """
    copies = (nodes - 1) // NODES_IN_COPY
    if copies * NODES_IN_COPY + 1 != nodes or not copies:
        message = f"{nodes} nodes are not {NODES_IN_COPY} k + 1"
        raise ValueError(message)
    chain = f"{{{COPY}}}*{copies}" if repeated else "-".join([COPY] * copies)
    return f"sewdsl 1\ninput 8x8x8\nsteps 4\nbody  {chain}-FC11\n"
