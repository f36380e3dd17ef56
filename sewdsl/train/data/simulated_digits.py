"""Events of moving digits in front of a simulated sensor, ``mnist5k-dvs``."""

from __future__ import annotations

from dataclasses import field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from sewdsl.light_dataclass import dataclass
from sewdsl.train.data.dataset import Splits
from sewdsl.train.data.digits import read_mnist5k
from sewdsl.train.data.events import event_stream
from sewdsl.train.data.events.event_stream import Events
from sewdsl.train.data.events.recording import Recording, Shape
from sewdsl.train.data.numpy_files import load_or_make
from sewdsl.train.data.recorded_dataset import RecordedDataSet, check_tonic
from sewdsl.train.data.split import split_stratified

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sewdsl.train.data.events.recording import Frames

    Floats = NDArray[np.float64]

CORNERS = ((0.0, 0.0), (3.0, 1.5), (0.0, 3.0))
"""Corners of the triangular path of the image, as (down, right) in pixels, as in N-MNIST."""


@dataclass(frozen=True)
class Sensor:
    """Sensor whose pixels emit an event when the log brightness has changed by a threshold since their last event.

    Ideal pixels of Lichtsteiner et al. 2008, without noise and dead time, but with slightly different thresholds. At
    the start, the brightness of each pixel differs from its reference by up to half a threshold.
    """

    size: tuple[int, int] = (34, 34)
    threshold: float = 0.4
    """Change of the natural logarithm of the brightness."""
    mismatch: float = 0.03
    """Standard deviation of the pixels' thresholds, as a fraction of the threshold."""
    dark: float = 0.1
    """Brightness of a black pixel, where a white pixel has 1."""
    saccade: int = 100_000
    """Duration of each of the three movements, in µs."""
    steps: int = 16
    """Brightness samples per movement. The logarithm is interpolated linearly between them."""

    def record(self, image: Floats, generator: np.random.Generator) -> Events:
        """Record the events of an image that moves once around the triangle.

        Args:
            image: Brightness from 0 to 1, ``[h, w]``. The image and its path must fit into the sensor.
            generator: Source of the pixels' thresholds and initial references.
        """
        import numpy as np

        count = self.size[0] * self.size[1]
        # The limits keep every threshold positive.
        mismatch = (self.mismatch * generator.standard_normal(count)).clip(-0.5, 0.5)
        threshold = self.threshold * (1 + mismatch)
        log_TP = np.log(self.dark + (1 - self.dark) * self._move(image)).reshape(-1, count)
        crossings = _crossings(log_TP, threshold, log_TP[0] + threshold * generator.uniform(-0.5, 0.5, count))
        time, pixel, polarity = (np.concatenate(column) for column in zip(*crossings, strict=True))
        t = (time * self.saccade / self.steps).astype(np.int64)
        # A reproducible order of simultaneous events.
        order = np.lexsort((pixel, t))
        y, x = np.divmod(pixel[order], self.size[1])
        return Events.of(t[order], x, y, polarity[order])

    def _move(self, image: Floats) -> Floats:
        """Return the image on the sensor at each sampled time, ``[T, H, W]``."""
        import numpy as np

        legs = zip(CORNERS, CORNERS[1:] + CORNERS[:1], strict=True)
        path = [np.linspace(start, end, self.steps, endpoint=False) for start, end in legs]
        start = (np.array(self.size) - image.shape - np.max(CORNERS, axis=0)) / 2
        offsets = (*np.concatenate(path), CORNERS[0])
        return np.stack([_draw(image, self.size, *(start + offset)) for offset in offsets])


def _draw(image: Floats, size: tuple[int, int], down: float, right: float) -> Floats:
    """Draw the image on a black field, with bilinear interpolation between pixels."""
    import numpy as np

    field = np.zeros(size)
    h, w = image.shape
    top, left = int(down), int(right)
    for row, row_weight in ((top, 1 - down + top), (top + 1, down - top)):
        for column, column_weight in ((left, 1 - right + left), (left + 1, right - left)):
            if row_weight * column_weight:
                field[row : row + h, column : column + w] += row_weight * column_weight * image
    return field


def _crossings(
    log_TP: Floats, threshold_P: Floats, reference_P: Floats
) -> list[tuple[Floats, NDArray[np.int64], NDArray[np.int64]]]:
    """Return time (in samples), pixel and polarity of the threshold crossings, unsorted."""
    import numpy as np

    # Start with an empty entry: the caller concatenates, and there may be no crossing.
    crossings = [(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for step, (before, after) in enumerate(pairwise(log_TP)):
        crossed = np.trunc((after - reference_P) / threshold_P)
        for count in range(1, int(np.abs(crossed).max()) + 1):
            pixel = np.flatnonzero(np.abs(crossed) >= count)
            sign = np.sign(crossed[pixel])
            level = reference_P[pixel] + sign * count * threshold_P[pixel]
            fraction = (level - before[pixel]) / (after[pixel] - before[pixel])
            # Rounding can put a crossing slightly outside of the interval.
            crossings.append((step + fraction.clip(0, 1), pixel, (sign > 0).astype(np.int64)))
        # The reference changes by whole thresholds, so the remainder counts for the next event.
        reference_P = reference_P + crossed * threshold_P
    return crossings


SENSOR = Sensor()


@dataclass(frozen=True)
class SimulatedDigit(Recording):
    """Digit ``[28, 28]``, 0 to 255, in front of the simulated sensor. Its index seeds the recording."""

    index: int
    pixels: NDArray[np.uint8] = field(repr=False, compare=False)

    def events(self) -> Events:
        """Return the simulated events, equal in every run and on every machine."""
        import numpy as np

        return SENSOR.record(self.pixels / 255, np.random.default_rng((2021, self.index)))

    def frames(self, steps: int, shape: Shape) -> Frames:
        key = ("mnist5k-dvs", SENSOR, self.pixels.tobytes(), self.index, steps, shape)
        return load_or_make(key, (steps, *shape), lambda: event_stream.frames(self.events(), steps, SENSOR.size))


class Mnist5kDvs(RecordedDataSet, name="mnist5k-dvs"):
    """Digits of ``mnist5k``, moved in front of a simulated 34x34 sensor in three saccades, as in N-MNIST.

    The events are computed and cached on first use, in about ten seconds. The split is that of ``mnist5k``.
    """

    shape = (2, *SENSOR.size)
    classes = 10

    def find(self) -> str:
        """Raise DataError if the recipe augments events and tonic is not installed."""
        check_tonic(self.setup.augmentation.of_tonic)
        return ""

    def load(self) -> Splits:
        pixels, y = read_mnist5k()
        digits = zip(y.tolist(), pixels.numpy()[:, 0], strict=True)
        recordings = [SimulatedDigit(label, Path(), index, digit) for index, (label, digit) in enumerate(digits)]
        return split_stratified(self.samples(recordings), test=0.2)
