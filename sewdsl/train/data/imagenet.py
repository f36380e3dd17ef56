"""Folders of photographs, ``imagenet`` and ``image-folder``, read batch by batch."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property
from math import exp, log, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from sewdsl.light_dataclass import dataclass
from sewdsl.paths import open_file
from sewdsl.train.data import data_folders
from sewdsl.train.data.augmentation import Augmentation, RandomSource
from sewdsl.train.data.dataset import DataError, DataSet, Normalisation, Samples, Splits
from sewdsl.train.data.split import hold_out

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from torch import Tensor


MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's training images per channel, after scaling to [0, 1]."""
GREY_MEAN, GREY_DEVIATION = (0.449,), (0.226,)
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF")
"""Accepted contents of a file, whatever its suffix. Some other formats of PIL start external programs."""
MAX_PIXELS = 2**26
"""Maximum number of pixels of an image, equal to 200 MB at three bytes per pixel."""
RESIZE_MARGIN = 256 / 224
"""Length of the resized short side, relative to the central crop."""
AREA, ASPECT, TRIES = (0.08, 1.0), (3 / 4, 4 / 3), 10
"""Random crop: fraction of the area, ratio of width to height, and attempts."""


@dataclass(frozen=True)
class ImageFiles:
    """Image files and their classes."""

    files: Sequence[tuple[int, Path]]
    shape: tuple[int, ...]
    """``(C, H, W)``, where C is 3, or 1 for grey."""
    augmentation: Augmentation = field(default_factory=Augmentation)
    """Augmentation of training images, after cropping. A shift requires another crop than ``random``."""
    crop: str = "random"
    """Crop of training images: a ``random`` part, the ``middle``, or the ``whole`` image, which is resized to the shape
    (test images as well)."""
    normalisation: Normalisation = Normalisation()

    @cached_property
    def y(self) -> Tensor:
        """Classes ``[N]``."""
        import torch

        return torch.tensor([label for label, _path in self.files], dtype=torch.int64)

    @property
    def readers(self) -> int:
        """One thread per core, at most 16."""
        # Decoding an image releases the GIL.
        return min(os.cpu_count() or 1, 16)

    def batch(self, indices: Tensor, draw: RandomSource | None = None) -> Samples:
        """Return a batch of static inputs ``[N, C, H, W]`` and classes.

        With a draw, each image is a random crop of its file, resized to the shape (He et al. 2016, and the released
        code of the paper), unless ``crop`` is set otherwise. Without a draw, the short side is resized to 256/224 of
        the shape, and the central crop is taken.

        Raises:
            DataError: If a file cannot be read.
        """
        import torch
        from torchvision.transforms import functional

        mean, deviation, white = self.normalisation
        images = []
        for index in indices.tolist():
            image = self._open(self.files[index][1])
            if self.crop == "whole":
                cropped = functional.resize(image, list(self.shape[1:]))
            elif draw is None or self.crop == "middle":
                cropped = self._middle(image)
            else:
                cropped = self._random(image, draw.generator(index))
            images.append(functional.pil_to_tensor(cropped))
        pixels = torch.stack(images)
        # _random has already mirrored random crops, and misfit() rejects shifts of them.
        if self.crop != "random":
            pixels = self.augmentation(pixels, indices, draw)
        scaled = self.augmentation.of_pixels(pixels, white, indices, draw)
        return Samples(functional.normalize(scaled, mean, deviation), self.y[indices])

    def part(self, indices: Tensor) -> ImageFiles:
        """Return a subset of the images, in the order of the indices."""
        return replace(self, files=[self.files[index] for index in indices.tolist()])

    def _open(self, path: Path) -> Image:
        import numpy as np
        import PIL.Image

        try:
            open_file(path).close()  # Rejects a FIFO, on which PIL would block.
            with PIL.Image.open(path, formats=FORMATS) as opened:
                # Checked before decoding, because a small file can declare a huge image.
                if opened.width * opened.height > MAX_PIXELS:
                    message = f"the image has {opened.width}x{opened.height} pixels, expected at most {MAX_PIXELS:,}"
                    raise ValueError(message)  # noqa: TRY301 -- the file's name goes before it
                image: Image = opened
                if opened.mode.startswith("I"):
                    # Grey of 16 bits, of which PIL would convert all values above 255 to white.
                    image = PIL.Image.fromarray((np.asarray(opened) >> 8).astype(np.uint8))
                image = image.convert("RGB")
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 -- a damaged image can end in any of them
            raise DataError(f"cannot read the image '{path}': {getattr(error, 'strerror', None) or error}") from None
        return image if self.shape[0] > 1 else image.convert("L")

    def _middle(self, image: Image) -> Image:
        from torchvision.transforms import functional

        size = list(self.shape[1:])
        scaled = functional.resize(image, [round(min(size) * RESIZE_MARGIN)])
        cropped: Image = functional.center_crop(scaled, size)
        return cropped

    def _random(self, image: Image, generator: np.random.Generator) -> Image:
        from torchvision.transforms import functional

        top, left, height, width = random_crop(image.height, image.width, generator)
        cropped: Image = functional.resized_crop(image, top, left, height, width, list(self.shape[1:]))
        mirror = self.augmentation.flip and generator.random() < 1 / 2
        return functional.hflip(cropped) if mirror else cropped


def pixel_statistics(channels: int) -> tuple[Sequence[float], Sequence[float]]:
    """Return mean and standard deviation for three channels, or for one grey channel."""
    return (MEAN, DEVIATION) if channels > 1 else (GREY_MEAN, GREY_DEVIATION)


def random_crop(height: int, width: int, generator: np.random.Generator) -> tuple[int, int, int, int]:
    """Draw a crop with random area and aspect ratio (Szegedy et al. 2015), as top, left, height and width.

    If ten attempts exceed the image, return the largest central crop with a permitted aspect ratio.
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


class _Images(NamedTuple):
    folder: Path
    parts: Sequence[str]
    """Names of the training and the test folder."""
    label: Mapping[str, int]
    """Class of each folder name."""
    files: Sequence[Sequence[tuple[int, Path]]]
    """Class and path of each image, for training and test."""


class ImageFolder(DataSet, name="image-folder"):
    """Custom photographs with one folder per class, resized to the network's input."""

    shape: ClassVar[tuple[int, ...] | None] = None
    classes: ClassVar[int | None] = None
    counts: ClassVar[tuple[int, int] | None] = None
    """Number of training and test images of the complete dataset. None accepts any number."""
    source: ClassVar[str] = ""
    """Download address and size."""

    def misfit(self) -> str:
        shape = self.setup.shape or self.shape or ()
        if len(shape) != 3 or shape[0] not in {1, 3}:  # noqa: PLR2004 -- [C, H, W]
            return f"images have 3 channels, or 1 if grey, but the network's input is {'x'.join(map(str, shape))}"
        if key := next((key for key, some in self._statistics().items() if len(some) not in {1, shape[0]}), None):
            return f"'{key}' must have 1 value or one per channel; the network's input has {shape[0]}"
        if self.setup.augmentation.shift and self.setup.crop == "random":
            return (
                f"'shift' cannot be combined with the random crops of {self.name}; remove it, or add 'crop middle' or "
                "'crop whole'"
            )
        return ""

    def find(self) -> str:
        count = self.classes or self.setup.classes
        if reason := self.misfit():
            raise DataError(reason)
        train, test = self._images.files
        counts = (len(train), len(test))
        if self.counts not in (None, counts) and not self.setup.subset:
            shares = " and ".join(f"{there:,} of {all_:,}" for there, all_ in zip(counts, self.counts, strict=True))
            message = f"dataset {self.name} is incomplete: {shares} images for training and validation"
            raise DataError(f"{message}\n{data_folders.SUBSET_HINT}")
        folder, label, names = self._images.folder, self._images.label, self._images.parts
        classes = {name: {n for n, _path in files} for name, files in zip(names, (train, test), strict=True)}
        if problem := data_folders.class_problem(folder, classes, label, count, subset=self.setup.subset):
            raise DataError(problem)
        return f"{counts[0]:,} images for training and {counts[1]:,} for testing in '{folder}'"

    def normalisation(self) -> Normalisation:
        mean, deviation = self._statistics().values()
        return Normalisation(mean, deviation)

    def load(self) -> Splits:
        self.find()
        shape = self.setup.shape or self.shape or ()
        self.names = data_folders.class_names(file for files in self._images.files for file in files)
        train, test = (
            ImageFiles(files, shape, self.setup.augmentation, self.setup.crop, self.normalisation())
            for files in self._images.files
        )
        return Splits(train, test)

    def _statistics(self) -> dict[str, Sequence[float]]:
        """Return mean and standard deviation per channel, by the keys of a recipe."""
        default = pixel_statistics((self.setup.shape or self.shape or (3,))[0])
        mean, deviation = self.setup.statistics
        return {"mean": mean or default[0], "std": deviation or default[1]}

    @cached_property
    def _images(self) -> _Images:
        for folder in data_folders.candidate_folders(self.setup.folder, (self.name,)):
            parts = [part for names in SPLITS if (part := data_folders.find_subfolder(folder, *names))]
            label = data_folders.class_labels(name for part in parts for name in data_folders.subfolders(part))
            files = [data_folders.class_files(part, SUFFIXES, label) for part in parts]
            # An empty part counts as missing, and the next folder is searched.
            if len(parts) == len(SPLITS) and all(files):
                return _Images(folder, [part.name for part in parts], label, files)
        # ImageNet has an official split: only custom folders may lack one.
        folders = data_folders.candidate_folders(self.setup.folder, (self.name,)) if self.counts is None else ()
        if unsplit := next(filter(None, map(self._hold_out, folders)), None):
            return unsplit
        patterns = [("{train,val}/<class>/*.{jpeg,jpg,png,bmp,webp}", "with one folder per class in both")]
        if self.counts is None:
            patterns += [("<class>/*.{jpeg,jpg,png,bmp,webp}", "split by 'holdout'")]
        raise DataError(
            data_folders.missing_data_message(self.name, self.setup.folder, (self.name,), patterns, self.source)
        )

    def _hold_out(self, folder: Path) -> _Images | None:
        """Split a folder of classes by a fixed draw, or return None if the folder has another layout."""
        names = data_folders.subfolders(folder)
        if any(name.lower() in split for name in names for split in SPLITS):
            return None  # One part of a split is missing.
        label = data_folders.class_labels(names)
        files = data_folders.class_files(folder, SUFFIXES, label)
        if not files:
            return None
        parts = hold_out(files, (index for index, _path in files), self.setup.holdout)
        return _Images(folder, ("the training part", "the held-out part"), label, parts)


class ImageNet(ImageFolder, name="imagenet"):
    """ImageNet (ILSVRC 2012): photographs of 1,000 classes, with the validation set as the test set.

    Training images are random crops. To mirror them as well, as in the paper, use ``flip on``.
    """

    shape = (3, 224, 224)
    classes = 1_000
    counts = (1_281_167, 50_000)
    source = (
        "https://image-net.org/download, ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, 150 GB; unpack the inner "
        "archives too, and put the validation images into folders of their classes"
    )
