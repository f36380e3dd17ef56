"""Small images in memory, a byte or so per pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sewdsl.train.data.augmentation import Augmentation, RandomSource
from sewdsl.train.data.dataset import Samples

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Images:
    """Images of one size; a pixel becomes a number only in its batch.

    Attributes:
        pixels: ``[N, C, H, W]`` of any number format.
        y: Classes ``[N]``.
        mean: What is subtracted from each channel, on the scale from 0 to 1.
        deviation: By what each channel is then divided.
        white: The pixel that becomes 1 on that scale.
        augmentation: How training samples are changed, before that.
        readers: None are needed.
    """

    pixels: Tensor
    y: Tensor
    mean: Sequence[float] = (0.0,)
    deviation: Sequence[float] = (1.0,)
    white: float = 255.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    readers: int = 0

    def batch(self, indices: Tensor, draw: RandomSource | None = None) -> Samples:
        """Static inputs ``[N, C, H, W]`` and their classes."""
        import torch

        x = self.augmentation(self.pixels[indices], indices, draw).float() / self.white
        mean, deviation = (torch.tensor(values).reshape(-1, 1, 1) for values in (self.mean, self.deviation))
        return Samples((x - mean) / deviation, self.y[indices])

    def part(self, indices: Tensor) -> Images:
        """A set of some of the images, in this order."""
        return replace(self, pixels=self.pixels[indices], y=self.y[indices])


def scaling(mean: Sequence[float], deviation: Sequence[float]) -> str:
    """What becomes of a pixel, in words; one figure for each channel."""
    less, over = (", ".join(f"{value:g}" for value in values) for values in (mean, deviation))
    by_channel = " by channel" if len(mean) > 1 else ""
    return f"pixels from 0 to 1, less {less}{by_channel}, over {over}"
