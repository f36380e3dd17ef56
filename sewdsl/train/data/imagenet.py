"""Folders of photographs, ``imagenet`` and ``image-folder``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

from sewdsl.train.data import data_folders
from sewdsl.train.data.dataset import DataError, DataSet, Splits
from sewdsl.train.data.image_samples import ImageFiles, pixel_statistics, scaling
from sewdsl.train.data.split import hold_out

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".webp")
SPLITS = (("train",), ("val", "test"))


class _Found(NamedTuple):
    """The images of a folder.

    Attributes:
        parts: The names of the folders for training and for the test in it.
        label: The class of each folder's name.
        files: Class and path of each image, for training and for the test.
    """

    place: Path
    parts: Sequence[str]
    label: Mapping[str, int]
    files: Sequence[Sequence[tuple[int, Path]]]


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

    def misfit(self) -> str:
        """Return whether the input is no image, or the recipe has too many numbers or moves what is cut at random."""
        shape = self.setup.shape or self.shape or ()
        if len(shape) != 3 or shape[0] not in {1, 3}:  # noqa: PLR2004 -- [C, H, W]
            return f"images have 3 channels, or 1 for grey; the network's input is {'x'.join(map(str, shape))}"
        if wrong := next((key for key, some in self._statistics().items() if len(some) not in {1, shape[0]}), None):
            return f"'{wrong}' has a number for each channel, or one for all: the network's input has {shape[0]}"
        if self.setup.augmentation.shift and self.setup.crop == "random":
            return (
                f"'shift' is not for {self.name}: its training images are random parts of photographs already, unless "
                "'crop middle' or 'crop whole' says otherwise"
            )
        return ""

    def find(self) -> str:
        """List the images, without reading them; return how many, and where.

        Raises:
            DataError: If there are none, not all are there, there are other classes than the network's, or the network
                or the recipe does not fit.
        """
        count = self.classes or self.setup.classes
        if reason := self.misfit():
            raise DataError(reason)
        train, test = self._found.files
        counts = (len(train), len(test))
        if self.counts not in (None, counts) and not self.setup.subset:
            shares = " and ".join(f"{there:,} of {all_:,}" for there, all_ in zip(counts, self.counts, strict=True))
            message = f"{self.name} is not all there: {shares} images for training and for validation"
            raise DataError(f"{message}\n{data_folders.SUBSET_HINT}")
        place, label = self._found.place, self._found.label
        there = {name: {n for n, _path in files} for name, files in zip(self._found.parts, (train, test), strict=True)}
        if wrong := data_folders.class_problem(place, there, label, count, subset=self.setup.subset):
            raise DataError(wrong)
        return f"{counts[0]:,} images for training and {counts[1]:,} for the test in '{place}'"

    def scaling(self) -> str:
        """Return the scale of ImageNet, also for photographs of one's own, unless the recipe says otherwise."""
        return scaling(*self._statistics().values())

    def load(self) -> Splits:
        """Return the images; none is read before it is needed."""
        self.find()
        shape = self.setup.shape or self.shape or ()
        self.names = data_folders.class_names(file for files in self._found.files for file in files)
        train, test = (
            ImageFiles(files, shape, self.setup.augmentation, self.setup.crop, *self.setup.statistics)
            for files in self._found.files
        )
        return Splits(train, test)

    def _statistics(self) -> dict[str, Sequence[float]]:
        """Return mean and deviation of each channel, by the keys of a recipe."""
        usual = pixel_statistics((self.setup.shape or self.shape or (3,))[0])
        mean, deviation = self.setup.statistics
        return {"mean": mean or usual[0], "std": deviation or usual[1]}

    @cached_property
    def _found(self) -> _Found:
        for place in data_folders.candidate_folders(self.setup.folder, (self.name,)):
            parts = [part for names in SPLITS if (part := data_folders.find_subfolder(place, *names))]
            label = data_folders.class_labels(name for part in parts for name in data_folders.subfolders(part))
            files = [data_folders.class_files(part, SUFFIXES, label) for part in parts]
            if len(parts) == len(SPLITS) and all(files):
                return _Found(place, [part.name for part in parts], label, files)
        places = data_folders.candidate_folders(self.setup.folder, (self.name,)) if self.counts is None else ()
        if flat := next(filter(None, map(self._flat, places)), None):
            return flat
        patterns = [("{train,val}/<class>/*.{jpeg,jpg,png,bmp,webp}", "with a folder for each class in both")]
        if self.counts is None:
            patterns += [("<class>/*.{jpeg,jpg,png,bmp,webp}", "of which 'holdout' is for the test")]
        raise DataError(
            data_folders.missing_data_message(self.name, self.setup.folder, (self.name,), patterns, self.source)
        )

    def _flat(self, place: Path) -> _Found | None:
        """Return a folder of classes without a split, a share of each always held out; None if it is none."""
        names = data_folders.subfolders(place)
        if any(name.lower() in split for name in names for split in SPLITS):
            return None  # a split of which a part is missing
        label = data_folders.class_labels(names)
        files = data_folders.class_files(place, SUFFIXES, label)
        if not files:
            return None
        parts = hold_out(files, (number for number, _path in files), self.setup.holdout)
        return _Found(place, ("what is left for training", "what is held out"), label, parts)


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
