"""What was right, and by how much the rest was wrong."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from lightning.pytorch.strategies import Strategy
    from torch import Tensor


@dataclass
class AccuracyTally:
    """Counts what was right, exactly, and sums the loss.

    Attributes:
        right: Samples whose class was found.
        seen: All samples.
        total_loss: Sum of their losses.
    """

    right: int = 0
    seen: int = 0
    total_loss: float = 0.0

    def add(self, logits: Tensor, y: Tensor, loss: float) -> float:
        """Counts a batch and its mean loss; the share of the batch that was right."""
        right = int((logits.argmax(1) == y).sum())
        self.right += right
        self.seen += len(y)
        self.total_loss += loss * len(y)
        return right / len(y)

    def of_all(self, strategy: Strategy) -> AccuracyTally:
        """The counts of all processes together."""
        mine = torch.tensor(astuple(self), dtype=torch.float64, device=strategy.root_device)
        right, seen, total_loss = strategy.reduce(mine, reduce_op="sum").tolist()
        return AccuracyTally(int(right), int(seen), total_loss)

    @property
    def loss(self) -> float:
        """Mean over the samples."""
        return self.total_loss / self.seen

    @property
    def accuracy(self) -> float:
        """Share that was right, in [0, 1]."""
        return self.right / self.seen
