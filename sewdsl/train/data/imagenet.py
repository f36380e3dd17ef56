"""Folders of photographs, ``imagenet`` and ``image-folder``, whose images are read when they are needed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from math import exp, log, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from sewdsl.light_dataclass import dataclass
from sewdsl.train.data import data_folders
from sewdsl.train.data.augmentation import WHITE, Augmentation, RandomSource
from sewdsl.train.data.dataset import DataError, DataSet, Samples, Splits, scaling
from sewdsl.train.data.split import hold_out

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from torch import Tensor


MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the channels of ImageNet's training images, on the scale from 0 to 1."""
GREY_MEAN, GREY_DEVIATION = (0.449,), (0.226,)
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF")
"""What a file may hold, whatever its name: of others, some start programs."""
MAX_PIXELS = 2**26
"""Of an image; at three bytes each they are 200 MB."""
RESIZE_MARGIN = 256 / 224
"""By how much the short side is longer than what is cut out of the middle."""
AREA, ASPECT, TRIES = (0.08, 1.0), (3 / 4, 4 / 3), 10
"""Of a random crop: share of the image's area, and width by height."""


@dataclass(frozen=True)
class ImageFiles:
    """Image files and their classes.

    Attributes:
        shape: ``(C, H, W)``; C is 3, or 1 for grey.
        augmentation: How training images are changed, once they are cut out; a shift goes with no random part.
        crop: What is cut out for training: a ``random`` part, the ``middle``, or the ``whole`` image, which is pressed
            into the shape, also for the test.
        mean: What is subtracted from each channel, on the scale from 0 to 1; None: as of ImageNet.
        deviation: By what each channel is then divided; None: as of ImageNet.
    """

    files: Sequence[tuple[int, Path]]
    shape: tuple[int, ...]
    augmentation: Augmentation = field(default_factory=Augmentation)
    crop: str = "random"
    mean: Sequence[float] | None = None
    deviation: Sequence[float] | None = None

    @cached_property
    def y(self) -> Tensor:
        """Classes ``[N]``."""
        import torch

        return torch.tensor([label for label, _path in self.files], dtype=torch.int64)

    @property
    def readers(self) -> int:
        """A thread per core; decoding an image lets other threads run."""
        return min(os.cpu_count() or 1, 16)

    def batch(self, indices: Tensor, draw: RandomSource | None = None) -> Samples:
        """Return static inputs ``[N, C, H, W]`` and their classes.

        With a draw, each image is a random part of its file, scaled to size (He et al. 2016; the released code of the
        paper), unless ``crop`` says otherwise; without, the short side is scaled to 256/224 of the size, and the middle
        is cut out.

        Raises:
            DataError: If a file cannot be read.
        """
        import torch
        from torchvision.transforms import functional

        usual = pixel_statistics(self.shape[0])
        mean, deviation = self.mean or usual[0], self.deviation or usual[1]
        images = []
        for index in indices.tolist():
            image = self._open(self.files[index][1])
            if self.crop == "whole":
                cut = functional.resize(image, list(self.shape[1:]))
            elif draw is None or self.crop == "middle":
                cut = self._middle(image)
            else:
                cut = self._random(image, draw.generator(index))
            images.append(functional.pil_to_tensor(cut))
        pixels = torch.stack(images)
        if self.crop != "random":
            pixels = self.augmentation(pixels, indices, draw)
        scaled = self.augmentation.of_pixels(pixels, WHITE, indices, draw)
        return Samples(functional.normalize(scaled, mean, deviation), self.y[indices])

    def part(self, indices: Tensor) -> ImageFiles:
        """Return a set of some of the images, in this order."""
        return replace(self, files=[self.files[index] for index in indices.tolist()])

    def _open(self, path: Path) -> Image:
        import PIL.Image

        try:
            with PIL.Image.open(path, formats=FORMATS) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    message = f"it has {opened.width}x{opened.height} pixels, expected at most {MAX_PIXELS:,}"
                    raise ValueError(message)  # noqa: TRY301 -- the file's name goes before it
                image: Image = opened.convert("RGB")
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 -- a damaged image can end in any of them
            message = f"'{path}' is damaged, or no image: {error}"
            raise DataError(message) from None
        return image if self.shape[0] > 1 else image.convert("L")

    def _middle(self, image: Image) -> Image:
        from torchvision.transforms import functional

        size = list(self.shape[1:])
        scaled = functional.resize(image, [round(min(size) * RESIZE_MARGIN)])
        cut: Image = functional.center_crop(scaled, size)
        return cut

    def _random(self, image: Image, generator: np.random.Generator) -> Image:
        from torchvision.transforms import functional

        top, left, height, width = random_crop(image.height, image.width, generator)
        cut: Image = functional.resized_crop(image, top, left, height, width, list(self.shape[1:]))
        mirror = self.augmentation.flip and generator.random() < 1 / 2
        return functional.hflip(cut) if mirror else cut


def pixel_statistics(channels: int) -> tuple[Sequence[float], Sequence[float]]:
    """Return mean and standard deviation of three channels, or of a grey one."""
    return (MEAN, DEVIATION) if channels > 1 else (GREY_MEAN, GREY_DEVIATION)


def random_crop(height: int, width: int, generator: np.random.Generator) -> tuple[int, int, int, int]:
    """Return top, left, height and width of a part of an image with a random area and aspect (Szegedy et al. 2015).

    Where ten draws do not fit into the image, it is the largest part from the middle with a permitted aspect.
    """
    for _ in range(TRIES):
        area = height * width * generator.uniform(*AREA)
        aspect = exp(generator.uniform(log(ASPECT[0]), log(ASPECT[1])))
        h, w = round(sqrt(area / aspect)), round(sqrt(area * aspect))
        if 0 < h <= height and 0 < w <= width:
            top, left = generator.integers(height - h, endpoint=True), generator.integers(width - w, endpoint=True)
            return int(top), int(left), h, w
    w, h = min(width, round(height * ASPECT[1])), min(height, round(width / ASPECT[0]))
    return (height - h) // 2, (width - w) // 2, h, w


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
