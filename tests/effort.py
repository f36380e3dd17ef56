"""Extent of the tests: ``pytest --hypothesis-profile dev``, ``ci`` (default) or ``deep``.

``dev`` tests few examples, ``deep`` many examples, complete shipped texts and every shipped network.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from hypothesis import settings

from tests.shipped import shipped

FACTORS = {"dev": 0.1, "ci": 1.0, "deep": 20.0}
"""How many examples a profile looks at, as a multiple of those of ``ci``."""


def register_profiles() -> None:
    """Register the profiles with hypothesis. The default is ``ci``."""
    for name, factor in FACTORS.items():
        settings.register_profile(name, deadline=None, derandomize=True, max_examples=int(40 * factor))
    settings.load_profile("ci")


def factor() -> float:
    """Return the factor of the profile in force."""
    return FACTORS.get(settings.get_current_profile_name(), 1.0)


def examples(count: int) -> settings:
    """Settings for a test that looks at so many examples in ``ci``."""
    return settings(max_examples=max(1, round(count * factor())))


def share(size: int) -> int:
    """A size that only ``deep`` takes in full: a quarter of it, for a law that is about growth."""
    return size if factor() > 1 else size // 4


LARGE = 260
"""More layers than this has no representative: what only such a network has, its own tests and ``deep`` look at."""


def representatives(names: Iterable[str]) -> list[str]:
    """Return few shipped networks with the features of all, or all of them for ``deep``.

    Features are every kind with its predecessor and its arguments, and every setting of a header.
    """
    names = sorted(names)
    if factor() > 1:
        return names
    left, chosen = {name: _features(name) for name in names if len(shipped(name)) <= LARGE}, []
    while any(left.values()):
        best = max(left, key=lambda name: (len(left[name]), -len(shipped(name))))
        chosen.append(best)
        found = left[best]
        left = {name: features - found for name, features in left.items()}
    return sorted(chosen)


@cache
def _features(name: str) -> frozenset[tuple[str, ...]]:
    """Return the features of a network that a reader, writer or printer may handle wrongly."""
    network = shipped(name)
    settings = network.settings.model_dump(exclude={"input", "steps"})
    edges = {
        (network.nodes[i].op.kind, node.op.kind, str(place))
        for node in network.nodes
        for place, i in enumerate(node.sources)
    }
    arguments = {
        (node.op.kind, name)
        for node in network.nodes
        for name, field in type(node.op).model_fields.items()
        if getattr(node.op, name) != field.get_default(call_default_factory=True)
    }
    return frozenset({(name, str(value)) for name, value in settings.items()} | edges | arguments)
