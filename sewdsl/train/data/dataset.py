"""What a data set is: what is known of it before it is loaded, and its samples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

DATASETS: dict[str, type[DataSet]] = {}
"""Every data set by its name; filled as the classes are defined (see :func:`sewdsl.train.data.datasets`)."""


class Samples(NamedTuple):
    """Inputs and their classes, in memory.

    Attributes:
        x: Static inputs ``[N, C, H, W]``, ready for a network.
        y: Classes ``[N]``, whole numbers from 0.
    """

    x: Tensor
    y: Tensor


class Splits(NamedTuple):
    """What a network learns from, and what it is judged by."""

    train: Samples
    test: Samples


class DataSet(ABC):
    """Something that a file can train on.

    Subclasses state ``name="mnist5k"``, what stands behind ``train on``.

    Attributes:
        name: The name in the language.
        shape: ``(C, H, W)`` of a sample.
        classes: How many classes there are.
    """

    name: ClassVar[str]
    shape: ClassVar[tuple[int, ...]]
    classes: ClassVar[int]

    def __init_subclass__(cls, name: str, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name in DATASETS:
            message = f"data set {name!r} is defined twice: {DATASETS[name].__qualname__} and {cls.__qualname__}"
            raise TypeError(message)
        cls.name = name
        DATASETS[name] = cls

    @abstractmethod
    def load(self) -> Splits:
        """Its samples; the split is the same every time and everywhere."""
