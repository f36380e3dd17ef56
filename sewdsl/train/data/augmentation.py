"""How training samples are changed from epoch to epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

from sewdsl.light_dataclass import dataclass


class RandomSource(NamedTuple):
    """Where random numbers of an epoch come from: with the sample's index they decide everything.

    Attributes:
        seed: The recipe's.
        epoch: Counted from 0.
    """

    seed: int
    epoch: int

    def generator(self, index: int) -> np.random.Generator:
        """The random numbers of one sample in this epoch, whatever was drawn elsewhere."""
        import numpy as np

        return np.random.default_rng((self.seed, self.epoch, index))


@dataclass(frozen=True)
class Augmentation:
    """Moves and mirrors images, each sample by what is drawn for it; all time-steps of a sequence alike.

    Attributes:
        shift: Most pixels that an image is moved up, down, left or right; what comes in is 0. It is the crop of a
            padded image that is usual for CIFAR.
        flip: Whether every other image, on average, is mirrored left to right.
    """

    shift: int = 0
    flip: bool = False

    def __call__(self, x: Tensor, indices: Tensor, draw: RandomSource | None) -> Tensor:
        """Changed samples.

        Args:
            x: ``[N, *, H, W]``.
            indices: Of the samples in their set, ``[N]``.
            draw: Where random numbers come from; None: nothing is changed.
        """
        import torch

        if draw is None or not (self.shift or self.flip):
            return x
        changed = torch.zeros_like(x)
        for old, new, index in zip(x, changed, indices.tolist(), strict=True):
            generator = draw.generator(index)
            down, right = generator.integers(-self.shift, self.shift, size=2, endpoint=True).tolist()
            mirrored = old.flip(-1) if self.flip and generator.random() < 1 / 2 else old
            target, source = zip(_overlap(down, x.shape[-2]), _overlap(right, x.shape[-1]), strict=True)
            new[(..., *target)] = mirrored[(..., *source)]
        return changed


def _overlap(offset: int, length: int) -> tuple[slice, slice]:
    """Where pixels go, and where they come from, along one axis."""
    return slice(max(offset, 0), length + min(offset, 0)), slice(max(-offset, 0), length - max(offset, 0))
