"""Folders of photographs, ``imagenet`` and ``image-folder``."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import ClassVar

from sewdsl.train.data import classes, places
from sewdsl.train.data.dataset import DataSet, Splits
from sewdsl.train.data.image_files import ImageFiles
from sewdsl.train.data.problem import DataError

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".webp")
SPLITS = (("train",), ("val", "test"))


class ImageFolder(DataSet, name="image-folder"):
    """Photographs of one's own, in a folder for each class; the network's input is the size they are brought to.

    Attributes:
        counts: Images for training and for the test where all are there; None: any number is all.
        source: Where to get it, and how large it is.
    """

    shape: ClassVar[tuple[int, ...] | None] = None
    classes: ClassVar[int | None] = None
    counts: ClassVar[tuple[int, int] | None] = None
    source: ClassVar[str] = ""

    def find(self) -> str:
        """Lists the images, without reading them; how many, and where.

        Raises:
            DataError: there are none, not all are there, there are other classes than the network's, or the recipe
                moves what is cut out at random anyway.
        """
        shape, count = self.setup.shape or self.shape or (), self.classes or self.setup.classes
        if len(shape) != 3 or shape[0] not in {1, 3}:  # noqa: PLR2004 -- [C, H, W]
            message = f"images have 3 channels, or 1 for grey; the network's input is {'x'.join(map(str, shape))}"
            raise DataError(message)
        if self.setup.augmentation.shift:
            message = f"'shift' is not for {self.name}: its training images are random parts of photographs already"
            raise DataError(message)
        for label, path in (file for files in self._files for file in files):
            if count and label >= count:
                message = f"'{path}' is of class {label}, but the classes are 0 to {count - 1}"
                raise DataError(message)
        found = (len(self._files[0]), len(self._files[1]))
        if self.counts not in (None, found) and not self.setup.subset:
            shares = " and ".join(f"{there:,} of {all_:,}" for there, all_ in zip(found, self.counts, strict=True))
            message = f"{self.name} is not all there: {shares} images for training and for validation\n"
            hint = "  if a part of it will do, say so: 'subset on' in the train section, or --set train.subset=on"
            raise DataError(message + hint)
        return f"{found[0]:,} images for training and {found[1]:,} for the test in '{self._files[0][0][1].parents[2]}'"

    def load(self) -> Splits:
        """The images; none is read before it is needed."""
        self.find()
        shape = self.setup.shape or self.shape or ()
        self.names = classes.names(file for files in self._files for file in files)
        train, test = (ImageFiles(files, shape, self.setup.augmentation.flip) for files in self._files)
        return Splits(train, test)

    @cached_property
    def _files(self) -> tuple[list[tuple[int, Path]], ...]:
        for place in places.candidates(self.setup.folder, (self.name,)):
            parts = [classes.child(place, *names) for names in SPLITS]
            label = classes.labels(name for part in parts if part for name in classes.subfolders(part))
            files = tuple(classes.files(part, SUFFIXES, label) if part else [] for part in parts)
            if all(files):
                return files
        patterns = [("{train,val}/<class>/*.{jpeg,jpg,png,bmp,webp}", "with a folder for each class in both")]
        raise DataError(places.missing(self.name, self.setup.folder, (self.name,), patterns, self.source))


class ImageNet(ImageFolder, name="imagenet"):
    """ImageNet (ILSVRC 2012): photographs of 1,000 classes; the test is the validation set.

    Training images are random parts of photographs. The paper mirrors every other one as well: ``flip on``.
    """

    shape = (3, 224, 224)
    classes = 1_000
    counts = (1_281_167, 50_000)
    source = (
        "https://image-net.org/download, ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, 150 GB; unpack the inner "
        "archives too, and put the validation images into folders of their classes"
    )
