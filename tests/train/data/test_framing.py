from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sewdsl.train.data.events.event_stream import Events, frames
from tests.train.data.writers import some_events
from tests.words import raises


def plain(events: Events, steps: int, size: tuple[int, int]) -> list[list[list[list[int]]]]:
    """The rule, event by event."""
    counts = np.zeros((steps, 2, *size), dtype=int)
    total = len(events.t)
    for i in range(total):
        step = steps - 1 if total < steps else min(i // (total // steps), steps - 1)
        counts[step, events.p[i], events.y[i], events.x[i]] += 1
    return counts.tolist()  # type: ignore[no-any-return]


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4), st.integers(0, 1)), max_size=40),
    st.integers(1, 9),
)
def test_same_as_the_plain_rule(rows: list[tuple[int, int, int]], steps: int) -> None:
    x, y, p = zip(*rows, strict=True) if rows else ((), (), ())
    events = Events.of(range(len(rows)), x, y, p)
    found = frames(events, steps, (5, 7))
    assert found.tolist() == plain(events, steps, (5, 7))
    assert found.sum() == len(rows)
    assert found.dtype == np.uint8


@pytest.mark.parametrize(("total", "steps", "counts"), [(10, 4, [2, 2, 2, 4]), (3, 4, [0, 0, 0, 3]), (8, 4, [2] * 4)])
def test_events_per_frame(total: int, steps: int, counts: list[int]) -> None:
    assert frames(some_events(total), steps, (34, 34)).sum((1, 2, 3)).tolist() == counts


def test_many_events_of_a_pixel() -> None:
    events = Events.of(range(70_000), *np.zeros((3, 70_000)))
    found = frames(events, 2, (1, 1))
    assert found.flatten().tolist() == [35_000, 0, 35_000, 0]
    assert found.dtype == np.uint16


@pytest.mark.parametrize(("x", "y", "said"), [(34, 0, "x = 34"), (0, 40, "y = 40"), (-1, 0, "x = -1")])
def test_outside(x: int, y: int, said: str) -> None:
    with raises(ValueError):
        frames(Events.of([0], [x], [y], [1]), 1, (34, 34))


def test_same_as_spikingjelly_left(shared: Path) -> None:
    root = shared / "dvs128_gesture" / "spikingjelly"
    for label in (0, 1):
        name = f"train/{label}/user01_fluorescent_0.npz"
        arrays = np.load(root / "events_np" / name)
        events = Events.of(*(arrays[key] for key in "txyp"))
        left = np.load(root / "frames_number_16_split_by_number" / name)["frames"]
        assert np.array_equal(frames(events, 16, (128, 128)), left)
