"""Memory as it is handed out and given back, piece by piece: who holds what, and how much that is."""

from __future__ import annotations

from dataclasses import dataclass

from sewdsl.passes.memory.sizes import MemoryStep


@dataclass(slots=True)
class Allocation:
    """A piece of memory and how many hold it."""

    bytes: int
    holders: int = 0


@dataclass(slots=True)
class SavedRecord:
    """What is kept of a value.

    Attributes:
        index: Its node.
        store: Its bits, or the value itself; None: it is computed again.
        raw: Whether the value itself.
        operands: What it is computed from.
        unit: What computes it again, if anything does.
        cached: The value, once it is there again.
        holders: How many may still ask for it.
    """

    index: int
    store: Allocation | None
    raw: bool = False
    operands: tuple[SavedRecord, ...] = ()
    unit: MemoryStep | None = None
    cached: Allocation | None = None
    holders: int = 0


class SimulatedHeap:
    """What is there.

    Attributes:
        now: Bytes.
    """

    def __init__(self, standing: int) -> None:
        self.now = standing

    def hold(self, store: Allocation) -> Allocation:
        """One more holds it; the first asks for it."""
        if not store.holders:
            self.now += store.bytes
        store.holders += 1
        return store

    def drop(self, store: Allocation | None) -> None:
        """One fewer holds it; behind the last, it is given back."""
        if store is not None:
            store.holders -= 1
            if not store.holders:
                self.now -= store.bytes

    def let(self, stores: list[Allocation]) -> None:
        """Drops each of several, and empties the list."""
        while stores:
            self.drop(stores.pop())

    def ask(self, record: SavedRecord) -> SavedRecord:
        """One more may ask for a value."""
        record.holders += 1
        return record

    def forget(self, record: SavedRecord | None) -> None:
        """One fewer; behind the last, nothing is kept of it, nor of what it would be computed from."""
        if record is None:
            return
        record.holders -= 1
        if not record.holders:
            self.drop(record.store)
            self.drop(record.cached)
            for operand in record.operands:
                self.forget(operand)
