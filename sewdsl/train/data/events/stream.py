"""Events of one recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Events(NamedTuple):
    """Changes of brightness, in the order of their recording; each array is ``[N]``.

    Attributes:
        t: When, in µs unless the source says otherwise; frames depend on the order alone.
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
        """From arrays of any number format and byte order; a polarity above 0 is a 1.

        Raises:
            ValueError: they are not one list of events.
        """
        arrays = [np.asarray(values).astype(np.int64) for values in (t, x, y, p)]
        shapes = {array.shape for array in arrays}
        if len(shapes) > 1 or arrays[0].ndim != 1:
            message = f"t, x, y and p have the shapes {', '.join(str(array.shape) for array in arrays)}"
            raise ValueError(message)
        return cls(arrays[0], arrays[1], arrays[2], (arrays[3] > 0).astype(np.int64))

    def between(self, start: int, end: int) -> Events:
        """Those with start <= t < end."""
        inside = (self.t >= start) & (self.t < end)
        return Events(self.t[inside], self.x[inside], self.y[inside], self.p[inside])
