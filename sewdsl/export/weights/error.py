"""What is said where weights cannot be converted."""

from __future__ import annotations

from sewdsl.ir.network import Node


class WeightsError(Exception):
    """Weights that cannot be read, or do not fit; the message says which, and why."""


class NoPlaceError(WeightsError):
    """A layer that a scheme has no key for.

    Args:
        node: The layer.
        why: What it is instead, in words that go on after its name.
    """

    def __init__(self, node: Node, why: str) -> None:
        super().__init__(f"{node.name} ({str(node.op).split('(', maxsplit=1)[0]}) {why}")
