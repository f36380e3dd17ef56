"""How much of what convolutions give is computed by events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sewdsl.lower.spiking_network import SpikingNetwork


class EventShares:
    """How often convolutions were computed by events, over all that passes while they are watched."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, int]] = {}

    @contextmanager
    def watch(self, model: SpikingNetwork) -> Iterator[None]:
        """Counts the convolutions of each forward within that may be computed by events."""
        before, model.event_listener = model.event_listener, self._count
        try:
            yield
        finally:
            model.event_listener = before

    def _count(self, name: str, by_events: bool) -> None:  # noqa: FBT001 -- what it is told
        events, all_of_them = self._counts.get(name, (0, 0))
        self._counts[name] = events + by_events, all_of_them + 1

    @property
    def shares(self) -> dict[str, float]:
        """Of each that may be, in how many of its forwards it was, in [0, 1], by the node's name, in order."""
        return {name: events / all_of_them for name, (events, all_of_them) in self._counts.items()}
