"""The networks of ``nets/``, each compiled once for all tests of a process."""

from __future__ import annotations

from functools import cache

from sewdsl.compiler import load, shipped_networks
from sewdsl.ir.network import Network

LIBRARIES = frozenset({"blocks", "neurons", "imagenet", "dvs-gesture", "residual-152"})
"""Files of blocks and settings: networks only with what uses them."""
SHIPPED = sorted(set(shipped_networks()) - LIBRARIES)

LOOPED = frozenset({"dcls-shd", "evflow-gru", "snasnet-backward", "srnn-shd", "tim"})
"""Networks with loops, whose neurons fire step by step: not all at once, as tests that watch them take it."""


@cache
def shipped(name: str) -> Network:
    """A shipped network as it is written."""
    return load(name)


SHORT = {"s4d": 8}
"""Time-steps of networks with so many that a training step of all of them takes seconds."""


def briefly(name: str) -> Network:
    """A shipped network for a test that runs it: as it is written, but for the time-steps of those in :data:`SHORT`."""
    return load(name, steps=SHORT[name]) if name in SHORT else shipped(name)
