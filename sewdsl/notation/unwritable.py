"""What the language has no words for."""

from __future__ import annotations

from sewdsl.ir.network import Node


class UnwritableNetwork(ValueError):  # noqa: N818 -- not a failure of the program: a network that no text gives
    """Raised of a network that no text of the language compiles to; names the node, where one is to blame."""

    def __init__(self, node: Node | None, reason: str) -> None:
        super().__init__(f"{node.name} ({node.op.kind}): {reason}" if node is not None else reason)
