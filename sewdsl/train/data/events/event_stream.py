"""Events of a recording, and their accumulation in frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


SHOWN = 4
"""Maximum number of polarities listed in a message."""


def _to_integers(name: str, values: NDArray[Any]) -> NDArray[np.int64]:
    """Convert an array to integers, rejecting other values. Fractional times are truncated."""
    import numpy as np

    kind = values.dtype.kind
    # numpy casts NaN and infinity to integers without an error: check the range first.
    if kind not in "biuf" or (kind in "uf" and not (np.abs(values) < 2.0**63).all()):
        raise ValueError(f"{name} contains values that are not integers")
    integers = values.astype(np.int64)
    if kind == "f" and name != "t" and (integers != values).any():
        raise ValueError(f"{name} contains {values[integers != values][0]}, expected integers")
    return integers


def _bits(p: NDArray[np.int64]) -> NDArray[np.int64]:
    """Convert polarities in {0, 1} or {-1, 1} to {0, 1}."""
    import numpy as np

    if p.size and not (((p == 0) | (p == 1)).all() or (np.abs(p) == 1).all()):
        polarities = np.unique(p)
        more = ", …" if len(polarities) > SHOWN else ""
        raise ValueError(f"p contains {', '.join(map(str, polarities[:SHOWN]))}{more}, expected 0 and 1, or -1 and 1")
    return (p > 0).astype(np.int64)


class Events(NamedTuple):
    """Events of a recording, in the order of recording, as arrays of the shape ``[N]``."""

    t: NDArray[np.int64]
    """Time, usually in µs. Frames depend only on the order."""
    x: NDArray[np.int64]
    """Column, from 0 at the left."""
    y: NDArray[np.int64]
    """Row, from 0 at the top."""
    p: NDArray[np.int64]
    """Polarity: 1 for brighter, 0 for darker."""

    @classmethod
    def of(cls, t: Any, x: Any, y: Any, p: Any) -> Self:
        """Create events from arrays of any dtype and byte order, with polarities 0 and 1, or -1 and 1.

        Raises:
            ValueError: If the arrays differ in shape, or contain an invalid time, coordinate or polarity.
        """
        import numpy as np

        arrays = [_to_integers(name, np.asarray(values)) for name, values in zip("txyp", (t, x, y, p), strict=True)]
        shapes = {array.shape for array in arrays}
        if len(shapes) > 1 or arrays[0].ndim != 1:
            shape_texts = ", ".join(str(array.shape) for array in arrays)
            raise ValueError(f"t, x, y and p have the shapes {shape_texts}, expected one shape [N]")
        return cls(arrays[0], arrays[1], arrays[2], _bits(arrays[3]))

    def between(self, start: int, end: int) -> Events:
        """Return the events with start <= t < end."""
        inside = (self.t >= start) & (self.t < end)
        return Events(self.t[inside], self.x[inside], self.y[inside], self.p[inside])


COUNTS = "counts of events, darker first, not scaled"
"""Description of the values in frames of events."""


class OutsideSensor(ValueError):
    """Event outside the sensor."""


def frames(events: Events, steps: int, size: tuple[int, int]) -> NDArray[Any]:
    """Count the events of each pixel and polarity in T slices with equal numbers of events.

    Event i of N belongs to frame min(i // (N // T), T - 1), so the last frame also contains the remainder of N / T. If
    N < T, all events belong to the last frame. This is the method of SpikingJelly and of Fang et al. 2021b.

    Args:
        size: Height and width of the sensor.

    Returns:
        ``[T, 2, H, W]`` in the smallest unsigned dtype that fits the counts. The first channel counts darker events,
        the second one brighter events.

    Raises:
        OutsideSensor: If an event is outside the sensor.
    """
    import numpy as np

    H, W = size
    for name, values, length in (("x", events.x, W), ("y", events.y, H)):
        outside = (values < 0) | (values >= length)
        if outside.any():
            raise OutsideSensor(f"an event at {name} = {values[outside][0]} is outside the {H}x{W} sensor")
    index = _slices(len(events.t), steps)
    # One bincount over flat indices is much faster than np.add.at.
    cells = ((index * 2 + events.p) * H + events.y) * W + events.x
    counts = np.bincount(cells, minlength=steps * 2 * H * W).reshape(steps, 2, H, W)
    # Most counts fit into a byte, which keeps the cache small.
    return counts.astype(np.min_scalar_type(int(counts.max())))


def _slices(length: int, steps: int) -> NDArray[np.int64]:
    """Return the frame index of each event."""
    import numpy as np

    if length < steps:
        return np.full(length, steps - 1)
    return np.minimum(np.arange(length) // (length // steps), steps - 1)
