"""Augmentation of training samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sewdsl.ir.recipe import BatchTransform, EventTransform, ImageTransform, SampleTransform, Transform
from sewdsl.light_dataclass import dataclass

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from sewdsl.train.data.events.event_stream import Events

WHITE = 255
BATCH = 0
"""Stage of the random numbers that a whole batch shares. The stages of transforms count from 1."""
Stage = TypeVar("Stage", bound=Transform)


class RandomSource(NamedTuple):
    """Source of random numbers of one epoch, counted from 0, reproducible by the index of the sample."""

    seed: int
    epoch: int

    def generator(self, index: int) -> np.random.Generator:
        """Return the generator of one sample, independent of all other draws."""
        import numpy as np

        return np.random.default_rng((self.seed, self.epoch, index))

    def derive_seed(self, index: int, stage: int) -> int:
        """Return the seed of one transform of a sample, or of a batch that starts with the sample."""
        import numpy as np

        # numpy mixes the values of the tuple, so consecutive indices have unrelated seeds.
        return int(np.random.default_rng((self.seed, self.epoch, index, stage)).integers(2**63))


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training samples, the same at all time-steps of a sequence."""

    shift: int = 0
    """Maximum shift of an image in pixels, vertically and horizontally. Pixels that move in are 0. This equals the
    random crop of a padded image, the common augmentation for CIFAR."""
    flip: bool = False
    """Whether to mirror a sample horizontally with probability 1/2."""
    transforms: tuple[Transform, ...] = ()
    """Further transforms, applied in order within a family. Transforms of pixels and of events run before scaling and
    counting, transforms of samples run after it, and transforms of batches run last."""

    def __call__(self, x: Tensor, indices: Tensor, draw: RandomSource | None) -> Tensor:
        """Return shifted and mirrored samples.

        Args:
            x: ``[N, *, H, W]``.
            indices: Indices of the samples in their dataset, ``[N]``.
            draw: Source of random numbers. None returns the samples unchanged, here and in the methods below.
        """
        import torch

        if draw is None or not (self.shift or self.flip):
            return x
        augmented = torch.zeros_like(x)
        for sample, target, index in zip(x, augmented, indices.tolist(), strict=True):
            generator = draw.generator(index)
            down, right = generator.integers(-self.shift, self.shift, size=2, endpoint=True).tolist()
            source = sample.flip(-1) if self.flip and generator.random() < 1 / 2 else sample
            to_pixels, from_pixels = zip(_overlap(down, x.shape[-2]), _overlap(right, x.shape[-1]), strict=True)
            target[(..., *to_pixels)] = source[(..., *from_pixels)]
        return augmented

    def of_pixels(self, pixels: Tensor, white: float, indices: Tensor, draw: RandomSource | None) -> Tensor:
        """Return images ``[N, C, H, W]`` scaled to [0, 1], after the transforms of images.

        Args:
            pixels: ``[N, C, H, W]`` of any dtype.
            white: Pixel value that becomes 1.
        """
        import torch

        transforms = self._stages(ImageTransform)
        if draw is None or not transforms:
            return pixels.float() / white
        # The transforms of torchvision expect bytes.
        byte_pixels = (
            pixels if pixels.dtype == torch.uint8 and white == WHITE else (pixels * (WHITE / white)).round().byte()
        )
        return torch.stack(list(_each(byte_pixels, indices, draw, transforms))).float() / WHITE

    def of_samples(self, x: Tensor, indices: Tensor, draw: RandomSource | None) -> Tensor:
        """Return network inputs ``[N, C, H, W]`` or ``[T, N, C, H, W]`` after the transforms of samples."""
        import torch

        transforms = self._stages(SampleTransform)
        if draw is None or not transforms:
            return x
        # Transforms expect the samples on the first axis.
        sequences = x.ndim == len("TNCHW")
        transformed = torch.stack(list(_each(x.transpose(0, 1) if sequences else x, indices, draw, transforms)))
        return transformed.transpose(0, 1).contiguous() if sequences else transformed

    def of_batch(
        self, x: Tensor, y: Tensor, first: int, draw: RandomSource | None, classes: int
    ) -> tuple[Tensor, Tensor]:
        """Return a batch and its class probabilities ``[N, classes]`` after one mixing transform.

        Without mixing transforms, ``y`` remains a tensor of class indices ``[N]``.

        Args:
            x: ``[N, C, H, W]`` or ``[T, N, C, H, W]``.
            first: Index of the first sample.
        """
        import torch
        from torchvision import tv_tensors
        from torchvision.transforms import v2

        from sewdsl.train.separate_generators import SeparateGenerator

        transforms = self._stages(BatchTransform)
        if draw is None or not transforms:
            return x, y
        sequences = x.ndim == len("TNCHW")
        with SeparateGenerator(draw.derive_seed(first, BATCH)):
            # Of several mixing transforms, most recipes draw one per batch.
            _stage, mix = transforms[int(torch.rand(()) * len(transforms))]
            # The loss expects class probabilities for every batch, mixed or not.
            if torch.rand(()) >= mix.p:
                return x, torch.nn.functional.one_hot(y, classes).float()
            mixed, probabilities = mix.build(v2, classes)(tv_tensors.Video(x.transpose(0, 1)) if sequences else x, y)
        # torchvision returns a subclass of tensors, which other code does not expect.
        plain: Tensor = mixed.as_subclass(torch.Tensor)
        return plain.transpose(0, 1).contiguous() if sequences else plain, probabilities

    def of_events(
        self, events: Events, size: tuple[int, ...], index: int, draw: RandomSource, library: ModuleType
    ) -> Events:
        """Return the events of a recording after the transforms of events, in any order.

        Args:
            size: ``(H, W)`` of the sensor.
        """
        import numpy as np

        from sewdsl.train.separate_generators import seeded_numpy

        transforms = self._stages(EventTransform)
        # tonic expects a structured array.
        table = np.empty(len(events.t), [("t", np.int64), ("x", np.int64), ("y", np.int64), ("p", np.int64)])
        for name in "txyp":
            table[name] = getattr(events, name)
        for stage, transform in transforms:
            # tonic draws from numpy's global generator. A transform may drop all events, which the next one does not
            # accept.
            with seeded_numpy(draw.derive_seed(index, stage)):
                table = transform.build(library, (size[1], size[0], 2))(table) if len(table) else table
        return type(events)(*(table[name].astype(np.int64) for name in "txyp"))

    @property
    def of_dataset(self) -> list[str]:
        """Names of the changes that a dataset applies as it reads samples."""
        moves = [name for name in ("shift", "flip") if getattr(self, name)]
        return moves + [
            transform.kind for transform in self.transforms if isinstance(transform, ImageTransform | EventTransform)
        ]

    @property
    def of_tonic(self) -> str:
        """Name of a transform of events, which requires tonic (empty without one)."""
        return next((transform.kind for _stage, transform in self._stages(EventTransform)), "")

    def _stages(self, family: type[Stage]) -> list[tuple[int, Stage]]:
        """Return the transforms of a family, each with its stage: the position among all transforms, from 1."""
        return [(stage, each) for stage, each in enumerate(self.transforms, 1) if isinstance(each, family)]


def _each(
    x: Tensor, indices: Tensor, draw: RandomSource, transforms: Sequence[tuple[int, ImageTransform | SampleTransform]]
) -> Iterator[Tensor]:
    """Yield the samples, each transformed with its own random numbers."""
    from torchvision.transforms import v2

    from sewdsl.train.separate_generators import SeparateGenerator

    built = [(stage, transform.build(v2)) for stage, transform in transforms]
    for sample, index in zip(x, indices.tolist(), strict=True):
        transformed = sample
        for stage, apply in built:
            with SeparateGenerator(draw.derive_seed(index, stage)):
                transformed = apply(transformed)
        yield transformed


def _overlap(offset: int, length: int) -> tuple[slice, slice]:
    """Return the target and the source slice of a shift along one axis."""
    return slice(max(offset, 0), length + min(offset, 0)), slice(max(-offset, 0), length - max(offset, 0))
