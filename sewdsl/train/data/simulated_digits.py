"""Events of digits that move before a simulated sensor, ``mnist5k-dvs``."""

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
"""Down and right, in pixels: the triangle that the image runs through, as in N-MNIST."""


@dataclass(frozen=True)
class Sensor:
    """A sensor whose pixels report when the logarithm of the brightness has changed by a threshold since they last did.

    The ideal pixel of Lichtsteiner et al. 2008: no noise and no dead time, but thresholds that differ a little. At the
    start, the brightness of each pixel is anywhere within half a threshold of its last report.

    Attributes:
        threshold: Of a change in the natural logarithm of the brightness.
        mismatch: Standard deviation of the pixels' thresholds, as a share of the threshold.
        dark: Brightness of a black pixel; a white one has 1.
        saccade: Duration of each of the three movements, in µs.
        steps: Times in each at which the brightness is computed; between them, it is taken to change evenly.
    """

    size: tuple[int, int] = (34, 34)
    threshold: float = 0.4
    mismatch: float = 0.03
    dark: float = 0.1
    saccade: int = 100_000
    steps: int = 16

    def record(self, image: Floats, generator: np.random.Generator) -> Events:
        """Record the events of an image that moves along the three sides of a triangle and ends where it began.

        Args:
            image: Brightness from 0 to 1, ``[h, w]``, smaller than the sensor by the size of the movement.
            generator: Draws the pixels' thresholds, and how far they are from their last report.
        """
        import numpy as np

        count = self.size[0] * self.size[1]
        mismatch = (self.mismatch * generator.standard_normal(count)).clip(-0.5, 0.5)
        threshold = self.threshold * (1 + mismatch)
        log_TP = np.log(self.dark + (1 - self.dark) * self._moved(image)).reshape(-1, count)
        crossings = _crossings(log_TP, threshold, log_TP[0] + threshold * generator.uniform(-0.5, 0.5, count))
        time, pixel, polarity = (np.concatenate(column) for column in zip(*crossings, strict=True))
        t = (time * self.saccade / self.steps).astype(np.int64)
        order = np.lexsort((pixel, t))
        y, x = np.divmod(pixel[order], self.size[1])
        return Events.of(t[order], x, y, polarity[order])

    def _moved(self, image: Floats) -> Floats:
        """Return the image before the sensor at each time, ``[T, H, W]``."""
        import numpy as np

        legs = zip(CORNERS, CORNERS[1:] + CORNERS[:1], strict=True)
        way = [np.linspace(start, end, self.steps, endpoint=False) for start, end in legs]
        start = (np.array(self.size) - image.shape - np.max(CORNERS, axis=0)) / 2
        return np.stack([_placed(image, self.size, *(start + at)) for at in (*np.concatenate(way), CORNERS[0])])


def _placed(image: Floats, size: tuple[int, int], down: float, right: float) -> Floats:
    """Return the image on a black field; between pixels, brightness is interpolated linearly."""
    import numpy as np

    field = np.zeros(size)
    h, w = image.shape
    top, left = int(down), int(right)
    for row, share in ((top, 1 - down + top), (top + 1, down - top)):
        for column, part in ((left, 1 - right + left), (left + 1, right - left)):
            if share * part:
                field[row : row + h, column : column + w] += share * part * image
    return field


def _crossings(
    log_TP: Floats, threshold_P: Floats, reference_P: Floats
) -> list[tuple[Floats, NDArray[np.int64], NDArray[np.int64]]]:
    """Return when which pixel crosses its threshold, in steps, and whether upwards; sorted by nothing."""
    import numpy as np

    crossings = [(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for step, (before, after) in enumerate(pairwise(log_TP)):
        crossed = np.trunc((after - reference_P) / threshold_P)
        for number in range(1, int(np.abs(crossed).max()) + 1):
            pixel = np.flatnonzero(np.abs(crossed) >= number)
            sign = np.sign(crossed[pixel])
            level = reference_P[pixel] + sign * number * threshold_P[pixel]
            share = (level - before[pixel]) / (after[pixel] - before[pixel])
            crossings.append((step + share.clip(0, 1), pixel, (sign > 0).astype(np.int64)))
        reference_P = reference_P + crossed * threshold_P
    return crossings


SENSOR = Sensor()


@dataclass(frozen=True)
class SimulatedDigit(Recording):
    """A digit before the simulated sensor.

    Attributes:
        index: Number of the digit, which decides what is random in the recording.
        pixels: ``[28, 28]``, 0 to 255.
    """

    index: int
    pixels: NDArray[np.uint8] = field(repr=False, compare=False)

    def events(self) -> Events:
        """Return the same events every time and everywhere."""
        import numpy as np

        return SENSOR.record(self.pixels / 255, np.random.default_rng((2021, self.index)))

    def frames(self, steps: int, shape: Shape) -> Frames:
        """Return frames with the same number of events each."""
        key = ("mnist5k-dvs", SENSOR, self.pixels.tobytes(), self.index, steps, shape)
        return load_or_make(key, (steps, *shape), lambda: event_stream.frames(self.events(), steps, SENSOR.size))


class Mnist5kDvs(RecordedDataSet, name="mnist5k-dvs"):
    """The digits of ``mnist5k``, moved before a simulated 34x34 sensor in three saccades, as in N-MNIST.

    The events are made when they are first needed, in some ten seconds, and take the way of any recording. The split
    is that of ``mnist5k``.
    """

    shape = (2, *SENSOR.size)
    classes = 10

    def find(self) -> str:
        """Check that the package that changes the events is installed.

        Raises:
            DataError: If it is not.
        """
        check_tonic(self.setup.augmentation.of_tonic)
        return ""

    def load(self) -> Splits:
        """Return the recordings."""
        pixels, y = read_mnist5k()
        digits = zip(y.tolist(), pixels.numpy()[:, 0], strict=True)
        recordings = [SimulatedDigit(label, Path(), index, digit) for index, (label, digit) in enumerate(digits)]
        return split_stratified(self.samples(recordings), test=0.2)
