"""Sequences of frames, from recordings that are read when they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

from sewdsl.train.data.augmentation import Augmentation, RandomSource
from sewdsl.train.data.dataset import Samples
from sewdsl.train.data.events.recording import Recording

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

MAX_IN_MEMORY_BYTES = 512 * 2**20
"""Bytes that a split may take in memory, at a byte per pixel; of larger ones nothing is kept."""
READERS = 2
"""Threads that read ahead: decompression and counting run beside training."""


@dataclass(frozen=True)
class Recordings:
    """Samples that lie in files.

    Attributes:
        recordings: One per sample.
        steps: Frames per sample, T.
        shape: ``(C, H, W)`` of a frame.
        augmentation: How training samples are changed; all frames of a sample alike.
        readers: Threads that read ahead.
    """

    recordings: Sequence[Recording]
    steps: int
    shape: tuple[int, ...]
    augmentation: Augmentation = field(default_factory=Augmentation)
    readers: int = READERS
    _kept: dict[Recording, NDArray[Any]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def y(self) -> Tensor:
        """Classes ``[N]``."""
        import torch

        return torch.tensor([recording.label for recording in self.recordings], dtype=torch.int64)

    def batch(self, indices: Tensor, draw: RandomSource | None = None) -> Samples:
        """Sequences ``[T, N, C, H, W]`` of counts, and their classes.

        Raises:
            DataError: a recording is damaged, or has another shape.
        """
        import numpy as np
        import torch

        chosen = [self.recordings[index] for index in indices.tolist()]
        x_NT = torch.stack([torch.from_numpy(self._frames(recording).astype(np.float32)) for recording in chosen])
        x_NT = self.augmentation(x_NT, indices, draw)
        return Samples(x_NT.transpose(0, 1).contiguous(), torch.tensor([recording.label for recording in chosen]))

    def part(self, indices: Tensor) -> Recordings:
        """A set of some of the recordings, in this order."""
        return replace(self, recordings=[self.recordings[index] for index in indices.tolist()])

    def _frames(self, recording: Recording) -> NDArray[Any]:
        if recording in self._kept:
            return self._kept[recording]
        frames = recording.frames(self.steps, self.shape)
        if len(self.recordings) * self.steps * prod(self.shape) <= MAX_IN_MEMORY_BYTES:
            self._kept[recording] = frames
        return frames
