"""From events to frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sewdsl.train.data.events.stream import Events

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Counts = NDArray[Any]

COUNTS = "counts of events, darker first, as they are"
"""What frames hold, in words."""


def frames(events: Events, steps: int, size: tuple[int, int]) -> Counts:
    """Counts the events of each pixel and polarity in each of T slices with the same number of events.

    Event i of N goes to frame min(i // (N // T), T - 1), so the last frame takes what N // T does not divide. With
    N < T all events go to the last frame. SpikingJelly does the same, and so did the paper (Fang et al. 2021b).

    Args:
        events: In order.
        steps: The number of frames T.
        size: Height and width of the sensor.

    Returns:
        ``[T, 2, H, W]`` in the smallest unsigned format that holds the counts; the first channel counts where it became
        darker, the second where brighter.

    Raises:
        ValueError: an event lies outside the sensor.
    """
    import numpy as np

    H, W = size
    for name, values, length in (("x", events.x, W), ("y", events.y, H)):
        outside = (values < 0) | (values >= length)
        if outside.any():
            message = f"an event at {name} = {values[outside][0]} lies outside a sensor of {H}x{W} pixels"
            raise ValueError(message)
    index = _slices(len(events.t), steps)
    cells = ((index * 2 + events.p) * H + events.y) * W + events.x
    counts = np.bincount(cells, minlength=steps * 2 * H * W).reshape(steps, 2, H, W)
    return counts.astype(np.min_scalar_type(int(counts.max())))


def _slices(length: int, steps: int) -> NDArray[np.int64]:
    """The frame of each event."""
    import numpy as np

    if length < steps:
        return np.full(length, steps - 1)
    return np.minimum(np.arange(length) // (length // steps), steps - 1)
