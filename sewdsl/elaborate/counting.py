"""How many nodes an expression will have, before any is made."""

from __future__ import annotations

from collections.abc import Mapping

from sewdsl.elaborate.names import IDENTITY, OWN_JOIN
from sewdsl.syntax.tree import Alternative, BlockDefinition, Call, Item, JoinOf, Number, Repeat, Sequence


class NodeCounter:
    """Counts by multiplying; each block is counted once.

    What depends on a block's arguments counts once too, and of two shortcuts the smaller, so that the result is a
    lower bound; the elaborator keeps a second count while it expands.
    """

    def __init__(self, blocks: Mapping[str, BlockDefinition]) -> None:
        self._blocks = blocks
        self._known: dict[str, int] = {}

    def sequence(self, sequence: Sequence) -> int:
        """Nodes of a sequence."""
        return sum(map(self._item, sequence.items))

    def _item(self, item: Item) -> int:
        match item:
            case Repeat(body=body, count=count):
                times = count.value if isinstance(count, Number) else 1
                return int(times) * self.sequence(body)
            case JoinOf(branch=branch, shortcut=shortcut):
                ways = (shortcut.first, shortcut.second) if isinstance(shortcut, Alternative) else (shortcut,)
                return 1 + self.sequence(branch) + min(map(self.sequence, ways))
            case Call(name=name) if name.plain == IDENTITY:
                return 0
            case Call(name=name):
                return self._block(name.plain or OWN_JOIN)

    def _block(self, key: str) -> int:
        if key not in self._blocks:
            return 1
        if key not in self._known:
            self._known[key] = 1  # a block that calls itself is refused elsewhere
            self._known[key] = self.sequence(self._blocks[key].expression)
        return self._known[key]
