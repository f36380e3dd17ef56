"""How training samples are changed from epoch to epoch."""

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
"""The place, among transforms, of what is drawn for a batch."""
Stage = TypeVar("Stage", bound=Transform)


class RandomSource(NamedTuple):
    """Where random numbers of an epoch, from 0, come from: with the sample's index they decide everything."""

    seed: int
    epoch: int

    def generator(self, index: int) -> np.random.Generator:
        """Return the random numbers of one sample in this epoch, whatever was drawn elsewhere."""
        import numpy as np

        return np.random.default_rng((self.seed, self.epoch, index))

    def number(self, index: int, place: int) -> int:
        """Return a seed for one transform of a sample, or of the batch that begins with it: of each place, another."""
        import numpy as np

        return int(np.random.default_rng((self.seed, self.epoch, index, place)).integers(2**63))


@dataclass(frozen=True)
class Augmentation:
    """Changes of samples, each by what is drawn for it; all time-steps of a sequence alike.

    Attributes:
        shift: Most pixels that an image is moved up, down, left or right; what comes in is 0. It is the crop of a
            padded image that is usual for CIFAR.
        flip: Whether every other image, on average, is mirrored left to right.
        transforms: What else is done, in this order, as far as it is of one kind; images' pixels and recordings' events
            are changed before they are scaled or counted, samples after that, and whole batches at last.
    """

    shift: int = 0
    flip: bool = False
    transforms: tuple[Transform, ...] = ()

    def __call__(self, x: Tensor, indices: Tensor, draw: RandomSource | None) -> Tensor:
        """Return samples moved and mirrored.

        Args:
            x: ``[N, *, H, W]``.
            indices: Of the samples in their set, ``[N]``.
            draw: Where random numbers come from; None: nothing is changed. So it is in the methods below.
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

    def of_pixels(self, pixels: Tensor, white: float, indices: Tensor, draw: RandomSource | None) -> Tensor:
        """Return images ``[N, C, H, W]`` on the scale from 0 to 1, changed by what changes images.

        Args:
            pixels: Of any dtype.
            white: The pixel that becomes 1.
        """
        import torch

        chosen = self._chosen(ImageTransform)
        if draw is None or not chosen:
            return pixels.float() / white
        bytes_ = pixels if pixels.dtype == torch.uint8 and white == WHITE else (pixels * (WHITE / white)).round().byte()
        return torch.stack(list(_each(bytes_, indices, draw, chosen))).float() / WHITE

    def of_samples(self, x: Tensor, indices: Tensor, draw: RandomSource | None) -> Tensor:
        """Return samples ``[N, C, H, W]`` or ``[T, N, C, H, W]`` as a network gets them, transformed."""
        import torch

        chosen = self._chosen(SampleTransform)
        if draw is None or not chosen:
            return x
        sequences = x.ndim == len("TNCHW")
        changed = torch.stack(list(_each(x.transpose(0, 1) if sequences else x, indices, draw, chosen)))
        return changed.transpose(0, 1).contiguous() if sequences else changed

    def of_batch(
        self, x: Tensor, y: Tensor, first: int, draw: RandomSource | None, classes: int
    ) -> tuple[Tensor, Tensor]:
        """Return a batch and its classes, mixed by what mixes batches: then ``y`` has shares, ``[N, classes]``.

        Of several that mix, one is drawn for each batch, as most recipes have it.

        Args:
            x: ``[N, C, H, W]`` or ``[T, N, C, H, W]``.
            first: Index of the first sample.
        """
        import torch
        from torchvision import tv_tensors
        from torchvision.transforms import v2

        from sewdsl.train.own_randomness import OwnGenerator

        chosen = self._chosen(BatchTransform)
        if draw is None or not chosen:
            return x, y
        sequences = x.ndim == len("TNCHW")
        with OwnGenerator(draw.number(first, BATCH)):
            _place, mix = chosen[int(torch.rand(()) * len(chosen))]
            if torch.rand(()) >= mix.p:
                return x, torch.nn.functional.one_hot(y, classes).float()
            mixed, shares = mix.build(v2, classes)(tv_tensors.Video(x.transpose(0, 1)) if sequences else x, y)
        plain: Tensor = mixed.as_subclass(torch.Tensor)
        return plain.transpose(0, 1).contiguous() if sequences else plain, shares

    def of_events(
        self, events: Events, size: tuple[int, ...], index: int, draw: RandomSource, library: ModuleType
    ) -> Events:
        """Return the events of a recording, in any order, changed by what changes these.

        Args:
            size: ``(H, W)`` of the sensor.
            library: The module ``tonic.transforms``.
        """
        import numpy as np

        from sewdsl.train.own_randomness import own_numpy

        chosen = self._chosen(EventTransform)
        table = np.empty(len(events.t), [("t", np.int64), ("x", np.int64), ("y", np.int64), ("p", np.int64)])
        for name in "txyp":
            table[name] = getattr(events, name)
        for place, transform in chosen:
            with own_numpy(draw.number(index, place)):
                table = transform.build(library, (size[1], size[0], 2))(table) if len(table) else table
        return type(events)(*(table[name].astype(np.int64) for name in "txyp"))

    @property
    def of_dataset(self) -> list[str]:
        """Names of the changes that a dataset makes as it reads samples; others are made of whatever it gives."""
        moves = [name for name in ("shift", "flip") if getattr(self, name)]
        return moves + [one.kind for one in self.transforms if isinstance(one, ImageTransform | EventTransform)]

    @property
    def of_tonic(self) -> str:
        """The name of a transform that changes events, for which tonic is needed; empty: there is none."""
        return next((transform.kind for _place, transform in self._chosen(EventTransform)), "")

    def _chosen(self, family: type[Stage]) -> list[tuple[int, Stage]]:
        """Return the transforms of one family, each with its place among all."""
        return [(place, one) for place, one in enumerate(self.transforms, 1) if isinstance(one, family)]


def _each(
    x: Tensor, indices: Tensor, draw: RandomSource, chosen: Sequence[tuple[int, ImageTransform | SampleTransform]]
) -> Iterator[Tensor]:
    """Yield samples, each changed by what is drawn for it."""
    from torchvision.transforms import v2

    from sewdsl.train.own_randomness import OwnGenerator

    built = [(place, transform.build(v2)) for place, transform in chosen]
    for sample, index in zip(x, indices.tolist(), strict=True):
        changed = sample
        for place, change in built:
            with OwnGenerator(draw.number(index, place)):
                changed = change(changed)
        yield changed


def _overlap(offset: int, length: int) -> tuple[slice, slice]:
    """Return where pixels go, and where they come from, along one axis."""
    return slice(max(offset, 0), length + min(offset, 0)), slice(max(-offset, 0), length - max(offset, 0))
