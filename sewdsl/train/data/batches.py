"""Samples in memory, a batch at a time, without a step of Python per sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from torch import Tensor

from sewdsl.train.data.dataset import Samples


@dataclass
class Batches:
    """What Lightning iterates over: each time an epoch of ``(x, y)``.

    The order of an epoch depends on the seed and the epoch alone, not on what was drawn elsewhere.

    Attributes:
        samples: All of them.
        size: Samples in a batch; the last batch has what is left.
        seed: Of the shuffling; None: the samples keep their order.
        epoch: The epoch that comes next, counted from 0.
    """

    samples: Samples
    size: int
    seed: int | None = None
    epoch: int = 0

    def __len__(self) -> int:
        return ceil(len(self.samples.y) / self.size)

    def __iter__(self) -> Iterator[Samples]:
        order = self._order()
        self.epoch += 1
        for start in range(0, len(order), self.size):
            indices = order[start : start + self.size]
            yield Samples(self.samples.x[indices], self.samples.y[indices])

    def _order(self) -> Tensor:
        length = len(self.samples.y)
        if self.seed is None:
            return torch.arange(length)
        return torch.from_numpy(np.random.default_rng((self.seed, self.epoch)).permutation(length))
