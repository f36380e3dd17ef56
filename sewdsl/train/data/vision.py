"""What the small image sets of torchvision have in common."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, ClassVar

from sewdsl.train.data import places
from sewdsl.train.data.cache import DAMAGED
from sewdsl.train.data.dataset import DataSet, Splits
from sewdsl.train.data.images import Images, scaling
from sewdsl.train.data.problem import DataError


class VisionDataSet(DataSet):
    """Images that torchvision reads, with its split; the class is called as torchvision's.

    Attributes:
        marker: The folder that torchvision makes.
        files: What lies in it.
        counts: Images for training and for the test.
        size: What has to be downloaded.
        mean: Of each channel over the training images, on the scale from 0 to 1.
        deviation: Likewise the standard deviation.
        named: Whether torchvision knows names of the classes that say more than their numbers.
    """

    marker: ClassVar[str]
    files: ClassVar[str]
    counts: ClassVar[tuple[int, int]]
    size: ClassVar[str]
    mean: ClassVar[Sequence[float]]
    deviation: ClassVar[Sequence[float]]
    named: ClassVar[bool] = True

    def find(self) -> str:
        """Looks for the folder, and says where it is.

        Raises:
            DataError: there is none.
        """
        return f"'{self._root / self.marker}'"

    def scaling(self) -> str:
        """Less the mean, over the standard deviation."""
        return scaling(self.mean, self.deviation)

    def load(self) -> Splits:
        """The images, a byte per pixel and channel."""
        train, test = (self._images(train=train) for train in (True, False))
        return Splits(train, test)

    @cached_property
    def _root(self) -> Path:
        """The folder that holds the marker."""
        folder = self.setup.folder
        for place in places.candidates(folder, (self.name,)):
            if (place / self.marker).is_dir():
                return place
            if place.name == self.marker:
                return place.parent
        python = f"torchvision.datasets.{type(self).__name__}('DIR', download=True)"
        patterns = [(f"{self.marker}/{self.files}", "torchvision")]
        source = f'{self.size}: python -c "import torchvision; {python}"'
        raise DataError(places.missing(self.name, folder, (self.name,), patterns, source))

    def _read(self, *, train: bool) -> Any:
        """torchvision's data set of this class's name."""
        from torchvision import datasets

        return getattr(datasets, type(self).__name__)(self._root, train)

    def _images(self, *, train: bool) -> Images:
        import numpy as np
        import torch

        place = self._root / self.marker
        try:
            found = self._read(train=train)
        except (*DAMAGED, AssertionError, RuntimeError, UnpicklingError) as error:
            message = (
                f"'{place}' is damaged, or not all there: {str(error) or 'a file has not the size that it states'}"
            )
            raise DataError(message) from None
        wanted = self.counts[0 if train else 1]
        if len(found.data) != wanted and not self.setup.subset:
            part = "training" if train else "test"
            message = f"'{place}' holds {len(found.data):,} of {wanted:,} {part} images; 'subset on' if that will do"
            raise DataError(message)
        self.names = tuple(found.classes) if self.named else ()
        pixels = torch.as_tensor(np.asarray(found.data))
        pixels = pixels.movedim(-1, 1) if pixels.ndim > 3 else pixels[:, None]  # noqa: PLR2004 -- [N, H, W, C] or [N, H, W]
        y = torch.as_tensor(found.targets, dtype=torch.int64)
        return Images(pixels, y, self.mean, self.deviation, augmentation=self.setup.augmentation)
