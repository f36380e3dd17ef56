"""Samples that are images: small ones in memory, large ones read when they are needed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import field, replace
from functools import cached_property
from math import exp, log, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

from sewdsl.light_dataclass import dataclass
from sewdsl.train.data.augmentation import WHITE, Augmentation, RandomSource
from sewdsl.train.data.dataset import DataError, Samples

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from torch import Tensor


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
