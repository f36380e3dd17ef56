"""The interface of a dataset: what is known before it is loaded, and its samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from sewdsl.light_dataclass import dataclass
from sewdsl.plugins import REGISTRIES
from sewdsl.train.data.augmentation import Augmentation, RandomSource
from sewdsl.user_error import UserError

if TYPE_CHECKING:
    from torch import Tensor


DATASETS: dict[str, type[DataSet]] = {}
"""Every dataset by its name; filled as the classes are defined (see :func:`sewdsl.train.data.datasets`)."""
REGISTRIES.append(DATASETS)


class SampleSet(Protocol):
    """Samples of a dataset, wherever they are kept."""

    @property
    def y(self) -> Tensor:
        """Classes ``[N]`` of all of them, integers from 0."""

    @property
    def readers(self) -> int:
        """How many threads should read batches ahead; 0: all samples are at hand."""

    def batch(self, indices: Tensor, draw: RandomSource | None = None) -> Samples:
        """Return some of the samples, ready for a network.

        Args:
            indices: Positions of the samples, ``[N]``.
            draw: What augmentation is drawn from; None: the samples as they are.

        Raises:
            DataError: If a sample cannot be read.
        """

    def part(self, indices: Tensor) -> SampleSet:
        """Return a set of some of the samples, in this order."""


class Samples(NamedTuple):
    """Inputs and their classes, in memory and ready for a network: a batch, or all of a small set.

    Attributes:
        x: Static inputs ``[N, C, H, W]``, or sequences ``[T, N, C, H, W]``, which only a batch holds.
        y: Classes ``[N]``, integers from 0.
    """

    x: Tensor
    y: Tensor

    @property
    def readers(self) -> int:
        """None are needed."""
        return 0

    def batch(self, indices: Tensor, draw: RandomSource | None = None) -> Samples:
        """Return some of the samples, as they are."""
        return Samples(self.x[indices], self.y[indices])

    def part(self, indices: Tensor) -> Samples:
        """Return a set of some of the samples, in this order."""
        return self.batch(indices)


@dataclass(frozen=True)
class Images:
    """Images of one size; a pixel becomes a number only in its batch.

    Attributes:
        pixels: ``[N, C, H, W]`` of any dtype.
        y: Classes ``[N]``.
        mean: What is subtracted from each channel, on the scale from 0 to 1.
        deviation: By what each channel is then divided.
        white: The pixel that becomes 1 on that scale.
        augmentation: How training samples are changed, before that.
    """

    pixels: Tensor
    y: Tensor
    mean: Sequence[float] = (0.0,)
    deviation: Sequence[float] = (1.0,)
    white: float = 255.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    readers: int = 0

    def batch(self, indices: Tensor, draw: RandomSource | None = None) -> Samples:
        """Return static inputs ``[N, C, H, W]`` and their classes."""
        import torch

        x = self.augmentation(self.pixels[indices], indices, draw)
        x = self.augmentation.of_pixels(x, self.white, indices, draw)
        mean, deviation = (torch.tensor(values).reshape(-1, 1, 1) for values in (self.mean, self.deviation))
        return Samples((x - mean) / deviation, self.y[indices])

    def part(self, indices: Tensor) -> Images:
        """Return a set of some of the images, in this order."""
        return replace(self, pixels=self.pixels[indices], y=self.y[indices])


def scaling(mean: Sequence[float], deviation: Sequence[float]) -> str:
    """Return what becomes of a pixel, in words; one figure for each channel."""
    less, over = (", ".join(f"{value:g}" for value in values) for values in (mean, deviation))
    by_channel = " by channel" if len(mean) > 1 else ""
    return f"pixels from 0 to 1, less {less}{by_channel}, over {over}"


class Splits(NamedTuple):
    """What a network learns from, and what it is judged by."""

    train: SampleSet
    test: SampleSet


IN_MEMORY_BYTES = 512 * 2**20
"""Bytes that the frames of a split may take in memory, unless another limit is given."""


HELD_OUT = 0.2
"""Share of the samples that are for the test where nothing else is said."""


@dataclass(frozen=True)
class Reading:
    """How samples are read, which changes no bit of them.

    Attributes:
        readers: Threads that prefetch batches; 0: none. None: as many as the dataset asks for.
        in_memory: Bytes that the frames of a split may take in memory once they are read; of larger splits nothing is
            kept, and every epoch reads the files again.
    """

    readers: int | None = None
    in_memory: int = IN_MEMORY_BYTES


@dataclass(frozen=True)
class DataOptions:
    """What a run asks of its dataset.

    Attributes:
        folder: Where the data lies, itself or in a folder of the dataset's name; None: not given.
        steps: Time-steps T of a sequence.
        shape: ``(C, H, W)`` of the network's input; None: the dataset's own.
        classes: How many classes the network tells apart; None: the dataset's own.
        subset: Whether only a part of the data may be there.
        resize: How frames of events are brought to the shape; see :class:`sewdsl.ir.recipe.Recipe`.
        holdout: Share of each class that is for the test where a folder has no split.
        crop: What is taken of image files: ``random``, ``middle`` or ``whole``.
        statistics: What is subtracted from the channels of image files, and by what they are divided; None: the usual.
    """

    folder: Path | None = None
    steps: int = 1
    shape: tuple[int, ...] | None = None
    classes: int | None = None
    subset: bool = False
    augmentation: Augmentation = field(default_factory=Augmentation)
    reading: Reading = field(default_factory=Reading)
    resize: str = "bilinear"
    holdout: float = HELD_OUT
    crop: str = "random"
    statistics: tuple[Sequence[float] | None, Sequence[float] | None] = (None, None)


class DataSet(ABC):
    """Something that a file can train on.

    Subclasses state ``name="mnist5k"``, what follows ``train on``; those without are families.

    Attributes:
        shape: ``(C, H, W)`` of a sample, or of a time-step of it; None: whatever the network takes.
        classes: Number of classes; None: as many as the network tells apart.
        varies: Whether the samples are sequences.
        holds_events: Whether these are frames of a sensor's events; it may have another size than the network's input.
        names: Of the classes, in order, once the samples are loaded; empty where they are numbers.
        validation: The validation set that the dataset itself has, once the samples are loaded; None: it has none.
    """

    name: ClassVar[str]
    shape: ClassVar[tuple[int, ...] | None]
    classes: ClassVar[int | None]
    varies: ClassVar[bool] = False
    holds_events: ClassVar[bool] = False

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not name:
            return
        if name in DATASETS:
            message = f"data set {name!r} is defined twice: {DATASETS[name].__qualname__} and {cls.__qualname__}"
            raise TypeError(message)
        cls.name = name
        DATASETS[name] = cls

    def __init__(self, setup: DataOptions | None = None) -> None:
        self.setup = setup or DataOptions()
        self.names: Sequence[str] = ()
        self.validation: SampleSet | None = None

    def misfit(self) -> str:
        """Return why the network's input or the recipe does not fit, whatever files there are; empty: they do."""
        return ""

    def find(self) -> str:
        """Check that all of the data is there, without reading it.

        Returns:
            What is there, for the user: how many samples, and where; empty for what travels with a package.

        Raises:
            DataError: If it is not.
        """
        return ""

    def read_by(self, reading: Reading) -> None:
        """Set how the samples are to be read, before they are loaded."""
        self.setup = replace(self.setup, reading=reading)

    def scaling(self) -> str:
        """Return how a sample is made of what is stored, in words: the network wants all inputs so."""
        return ""

    @abstractmethod
    def load(self) -> Splits:
        """Return the samples; the split is the same every time and everywhere.

        Raises:
            DataError: If they are missing, not all there, or damaged.
        """


class DataError(UserError):
    """Data that is missing, not whole or damaged; the message says where it was looked for and what to do."""


class DataMismatch(DataError):
    """Samples that are sound, but of another shape than the network's input: to resume does not help."""


class MissingReader(DataError):
    """A package that reads a file, and is not installed."""

    def __init__(self, path: Path, package: str) -> None:
        super().__init__(f"'{path}' is read by {package}, which is not installed: pip install 'sewdsl[data]'")
