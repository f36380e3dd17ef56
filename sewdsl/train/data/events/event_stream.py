"""The events of one recording, and frames made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


SHOWN = 4
"""Polarities that a message lists."""


def _whole(name: str, values: NDArray[Any]) -> NDArray[np.int64]:
    """Return whole numbers, which numpy makes of nan and infinity too. Fractions of times are cut."""
    import numpy as np

    kind = values.dtype.kind
    if kind not in "biuf" or (kind in "uf" and not (np.abs(values) < 2.0**63).all()):
        raise ValueError(f"{name} holds what is no whole number")
    whole = values.astype(np.int64)
    if kind == "f" and name != "t" and (whole != values).any():
        raise ValueError(f"{name} holds {values[whole != values][0]}, which is no whole number")
    return whole


def _bits(p: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return polarities as 0 and 1, of -1 and 1 too."""
    import numpy as np

    if p.size and not (((p == 0) | (p == 1)).all() or (np.abs(p) == 1).all()):
        values = np.unique(p)
        more = ", …" if len(values) > SHOWN else ""
        raise ValueError(f"p holds {', '.join(map(str, values[:SHOWN]))}{more}, expected 0 and 1, or -1 and 1")
    return (p > 0).astype(np.int64)


class Events(NamedTuple):
    """Changes of brightness, in the order of their recording; each array is ``[N]``.

    Attributes:
        t: Time, in µs unless the source says otherwise; frames depend on the order alone.
        x: Column, from 0 at the left.
        y: Row, from 0 at the top.
        p: 1 where it became brighter, 0 where darker.
    """

    t: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    p: NDArray[np.int64]

    @classmethod
    def of(cls, t: Any, x: Any, y: Any, p: Any) -> Self:
        """Make events of arrays of any dtype and byte order; polarities are 0 and 1, or -1 and 1.

        Raises:
            ValueError: If they are not one list of events, or hold what is no number, coordinate or polarity.
        """
        import numpy as np

        arrays = [_whole(name, np.asarray(values)) for name, values in zip("txyp", (t, x, y, p), strict=True)]
        shapes = {array.shape for array in arrays}
        if len(shapes) > 1 or arrays[0].ndim != 1:
            raise ValueError(f"t, x, y and p have the shapes {', '.join(str(array.shape) for array in arrays)}")
        return cls(arrays[0], arrays[1], arrays[2], _bits(arrays[3]))

    def between(self, start: int, end: int) -> Events:
        """Return those with start <= t < end."""
        inside = (self.t >= start) & (self.t < end)
        return Events(self.t[inside], self.x[inside], self.y[inside], self.p[inside])


COUNTS = "counts of events, darker first, as they are"
"""What frames hold, in words."""


class OutsideSensor(ValueError):
    """An event that a sensor of this size cannot have."""


def frames(events: Events, steps: int, size: tuple[int, int]) -> NDArray[Any]:
    """Count the events of each pixel and polarity in each of T slices with the same number of events.

    Event i of N goes to frame min(i // (N // T), T - 1), so the last frame takes what N // T does not divide. With
    N < T all events go to the last frame. SpikingJelly does the same, and so did the paper (Fang et al. 2021b).

    Args:
        steps: The number of frames T.
        size: Height and width of the sensor.

    Returns:
        ``[T, 2, H, W]`` in the smallest unsigned format that holds the counts; the first channel counts where it became
        darker, the second where brighter.

    Raises:
        OutsideSensor: If an event lies outside the sensor.
    """
    import numpy as np

    H, W = size
    for name, values, length in (("x", events.x, W), ("y", events.y, H)):
        outside = (values < 0) | (values >= length)
        if outside.any():
            raise OutsideSensor(f"an event at {name} = {values[outside][0]}, outside a sensor of {H}x{W} pixels")
    index = _slices(len(events.t), steps)
    cells = ((index * 2 + events.p) * H + events.y) * W + events.x
    counts = np.bincount(cells, minlength=steps * 2 * H * W).reshape(steps, 2, H, W)
    return counts.astype(np.min_scalar_type(int(counts.max())))


def _slices(length: int, steps: int) -> NDArray[np.int64]:
    """Return the frame of each event."""
    import numpy as np

    if length < steps:
        return np.full(length, steps - 1)
    return np.minimum(np.arange(length) // (length // steps), steps - 1)
