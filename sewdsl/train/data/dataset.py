"""Interface of datasets and their samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from sewdsl.ir.settings import InputSetting
from sewdsl.light_dataclass import dataclass
from sewdsl.plugins import REGISTRIES
from sewdsl.train.data.augmentation import Augmentation, RandomSource
from sewdsl.user_error import UserError

if TYPE_CHECKING:
    from torch import Tensor


DATASETS: dict[str, type[DataSet]] = {}
"""Dataset classes by name, filled by their definition (see :func:`sewdsl.train.data.datasets`)."""
REGISTRIES.append(DATASETS)


class SampleSet(Protocol):
    """Samples of a dataset, in memory or in files."""

    @property
    def y(self) -> Tensor:
        """Classes ``[N]`` of all samples, integers from 0."""

    @property
    def readers(self) -> int:
        """Recommended number of threads that prefetch batches, or 0 if the samples are in memory."""

    def batch(self, indices: Tensor, draw: RandomSource | None = None) -> Samples:
        """Return a batch of network inputs and classes.

        Args:
            indices: Indices of the samples, ``[N]``.
            draw: Source of random numbers. None disables augmentation.

        Raises:
            DataError: If a sample cannot be read.
        """

    def part(self, indices: Tensor) -> SampleSet:
        """Return a subset of the samples, in the order of the indices."""


class Samples(NamedTuple):
    """Network inputs and their classes in memory: a batch, or a small dataset."""

    x: Any
    """Static inputs ``[N, C, H, W]``, or sequences ``[T, N, C, H, W]`` (batches only). Batches of named inputs are
    dictionaries of these."""
    y: Tensor
    """Classes ``[N]``, integers from 0."""

    @property
    def readers(self) -> int:
        """Always 0: the samples are in memory."""
        return 0

    def batch(self, indices: Tensor, draw: RandomSource | None = None) -> Samples:
        """Return a batch, without augmentation."""
        # A plain dataset is in memory as the network reads it, so there is nothing to augment.
        return Samples(self.x[indices], self.y[indices])

    def part(self, indices: Tensor) -> Samples:
        """Return a subset of the samples, in the order of the indices."""
        return self.batch(indices)


class Normalisation(NamedTuple):
    """Scaling of pixels: (pixel / white - mean) / deviation."""

    mean: Sequence[float] = (0.0,)
    """Value of each channel, or of all channels."""
    deviation: Sequence[float] = (1.0,)
    """Divisor of each channel, or of all channels."""
    white: int = 255
    """Pixel value that is scaled to 1."""

    def __str__(self) -> str:
        subtracted, divisors = (", ".join(f"{value:g}" for value in values) for values in (self.mean, self.deviation))
        by_channel = " by channel" if len(self.mean) > 1 else ""
        return f"pixels from 0 to 1, minus {subtracted}{by_channel}, divided by {divisors}"


@dataclass(frozen=True)
class Images:
    """Images of equal size, kept as pixels and scaled per batch."""

    pixels: Tensor
    """``[N, C, H, W]`` of any dtype."""
    y: Tensor
    """Classes ``[N]``."""
    normalisation: Normalisation = Normalisation()
    """Scaling of the pixels, which :meth:`DataSet.normalisation` must return too."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Augmentation of training samples, applied before the scaling."""
    readers: int = 0

    def batch(self, indices: Tensor, draw: RandomSource | None = None) -> Samples:
        """Return a batch of static inputs ``[N, C, H, W]`` and classes."""
        import torch

        *scale, white = self.normalisation
        # Shift before scaling: pixels that move in are black.
        x = self.augmentation(self.pixels[indices], indices, draw)
        x = self.augmentation.of_pixels(x, white, indices, draw)
        # One value per channel, or one value for all channels.
        mean, deviation = (torch.tensor(values).reshape(-1, 1, 1) for values in scale)
        return Samples((x - mean) / deviation, self.y[indices])

    def part(self, indices: Tensor) -> Images:
        """Return a subset of the images, in the order of the indices."""
        return replace(self, pixels=self.pixels[indices], y=self.y[indices])


class Splits(NamedTuple):
    """Training and test set of a dataset."""

    train: SampleSet
    test: SampleSet


IN_MEMORY_BYTES = 512 * 2**20
"""Default size limit of a cached split, in bytes."""


HELD_OUT = 0.2
"""Default fraction of samples in the test set, for folders without a split."""


@dataclass(frozen=True)
class Reading:
    """Options of reading that do not change the samples."""

    readers: int | None = None
    """Number of threads that prefetch batches, or 0 for none. None takes the number of the dataset."""
    in_memory: int = IN_MEMORY_BYTES
    """Largest split to cache in memory, in bytes. Larger splits are read from files in every epoch."""


@dataclass(frozen=True)
class DataOptions:
    """Options of a run for its dataset."""

    folder: Path | None = None
    """Dataset folder, or folder of several datasets, or None if not set."""
    steps: int = 1
    """Number of time-steps T of a sequence."""
    shape: tuple[int, ...] | None = None
    """``(C, H, W)`` of the network's input, or None for the shape of the dataset."""
    inputs: tuple[InputSetting, ...] = ()
    """Inputs of the network. Empty for a single input that is described by ``shape`` only. A single input may have an
    empty name."""
    classes: int | None = None
    """Number of classes of the network, or None for the number of the dataset."""
    labelled: bool = True
    """Whether samples require classes. A network can be trained on its input only."""
    subset: bool = False
    """Whether to accept an incomplete dataset."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    reading: Reading = field(default_factory=Reading)
    resize: str = "bilinear"
    """Method to resize frames of events (see :class:`sewdsl.ir.recipe.Recipe`)."""
    holdout: float = HELD_OUT
    """Fraction of each class in the test set, for folders without a split."""
    crop: str = "random"
    """Crop of image files: ``random``, ``middle`` or ``whole``."""
    statistics: tuple[Sequence[float] | None, Sequence[float] | None] = (None, None)
    """Mean and standard deviation per channel of image files, or None for those of ImageNet."""


class DataSet(ABC):
    """Base class of datasets for ``train on NAME``.

    Subclasses pass their name, e.g. ``name="mnist5k"``. Subclasses without a name are abstract.

    Attributes:
        shape: ``(C, H, W)`` of a sample, or of one of its time-steps. None accepts the shape of the network.
        classes: Number of classes. None accepts the number of the network.
        varies: Whether the samples are sequences.
        holds_events: Whether the samples are frames of events. The sensor may differ in size from the network's input.
        has_names: Whether the samples of a network with named inputs are dictionaries of the inputs.
        names: Names of the classes, in order, set by :meth:`load` (empty if they are numbers).
        validation: Validation set of the dataset, set by :meth:`load`, or None without one.
    """

    name: ClassVar[str]
    shape: ClassVar[tuple[int, ...] | None]
    classes: ClassVar[int | None]
    varies: ClassVar[bool] = False
    holds_events: ClassVar[bool] = False
    has_names: ClassVar[bool] = False

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not name:
            return
        # Plugins must not replace datasets silently.
        if name in DATASETS:
            raise TypeError(f"dataset {name!r} is defined twice: {DATASETS[name].__qualname__} and {cls.__qualname__}")
        cls.name = name
        DATASETS[name] = cls

    def __init__(self, setup: DataOptions | None = None) -> None:
        self.setup = setup or DataOptions()
        self.names: Sequence[str] = ()
        self.validation: SampleSet | None = None

    def misfit(self) -> str:
        """Return why the network's input or the recipe does not fit the dataset (empty if it fits)."""
        return ""

    def find(self) -> str:
        """Check that the data is complete, without reading samples.

        Returns:
            Number and folder of the samples, for the user (empty for datasets that come with a package).

        Raises:
            DataError: If data is missing.
        """
        return ""

    def read_by(self, reading: Reading) -> None:
        """Set the reading options, before :meth:`load`."""
        self.setup = replace(self.setup, reading=reading)

    def normalisation(self) -> Normalisation | None:
        """Return the scaling of pixels, or None if the samples are no images."""
        return None

    def scaling(self) -> str:
        """Return a description of the scaling of samples, for model cards and exports (empty without scaling)."""
        normalisation = self.normalisation()
        return "" if normalisation is None else str(normalisation)

    @abstractmethod
    def load(self) -> Splits:
        """Load the samples, with the same split in every run and on every machine.

        Raises:
            DataError: If samples are missing or damaged.
        """


class DataError(UserError):
    """Missing, incomplete or damaged data."""


class DataMismatch(DataError):
    """Valid samples of another shape than the network's input, which resuming cannot fix."""
