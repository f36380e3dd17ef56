"""Losses, accuracy over batches and processes, and random temporal delete (appendix A.2 of Fang et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from sewdsl.ir.recipe import Recipe
from sewdsl.light_dataclass import dataclass

if TYPE_CHECKING:
    from lightning.pytorch.strategies import Strategy
    from torch import Tensor


TOP = 5
"""Likeliest classes that count as right in the top-5 accuracy."""

TOP5_CLASSES = 20
"""Fewest classes of a network with a top-5 accuracy: with 10, guessing gets 50 %."""


def training_loss(model: Callable[..., Tensor], x: Tensor, y: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Return the readout ``[N, classes]`` of a batch and its loss, a mean over the samples.

    A loss of each time-step gets the output of each; the readout is their mean then.

    Args:
        y: Its classes ``[N]``, or the share of each class, ``[N, classes]``.
    """
    if not recipe.loss.each_step:
        logits = model(x)
        return logits, recipe.loss.value(functional, logits, y, recipe.label_smoothing)
    sequence = model(x, return_sequence=True)
    return sequence.mean(0), recipe.loss.value(functional, sequence, y, recipe.label_smoothing)


def temporal_delete(x_TN: Tensor, keep: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw some of the time-steps of a sequence, without replacement, in their order.

    All samples of the batch lose the same steps; which ones is drawn again for each batch.

    Args:
        keep: How many steps to keep, T_train, in 1..T.

    Returns:
        ``[keep, N, *]``.

    Raises:
        ValueError: If there are not so many steps.
    """
    T = len(x_TN)
    if not 1 <= keep <= T:
        raise ValueError(f"cannot keep {keep} of {T} time-steps")
    kept = torch.randperm(T, generator=generator)[:keep].sort().values
    if x_TN.stride(0) == 0:
        return x_TN[:keep]  # all steps are one: which are kept makes no difference
    return x_TN[kept.to(x_TN.device)]


@dataclass
class AccuracyTally:
    """Counts what was right, exactly, and sums the loss.

    Attributes:
        among_five: Samples whose class was among the five that were found likeliest; of equal logits, the first class
            comes first.
    """

    right: int = 0
    seen: int = 0
    total_loss: float = 0.0
    among_five: int = 0

    def add(self, logits: Tensor, y: Tensor, loss: float) -> float:
        """Count a batch and its mean loss; return the share of the batch that was right."""
        known = y if y.ndim == 1 else y.argmax(1)  # of mixed samples, the class with the largest share
        right = int((logits.argmax(1) == known).sum())
        self.right += right
        likeliest = logits.sort(dim=1, descending=True, stable=True).indices[:, :TOP]
        self.among_five += int((likeliest == known[:, None]).sum())
        self.seen += len(y)
        self.total_loss += loss * len(y)
        return right / len(y)

    def of_all(self, strategy: Strategy) -> AccuracyTally:
        """Return the counts of all processes together."""
        if strategy.root_device.type == "mps":  # which has no float64, and one process only
            return self
        mine = torch.tensor(astuple(self), dtype=torch.float64, device=strategy.root_device)
        right, seen, total_loss, among_five = strategy.reduce(mine, reduce_op="sum").tolist()
        return AccuracyTally(int(right), int(seen), total_loss, int(among_five))

    @property
    def loss(self) -> float:
        """Mean over the samples."""
        return self.total_loss / self.seen

    @property
    def top5_accuracy(self) -> float:
        """Share whose class was among the five likeliest, in [0, 1]."""
        return self.among_five / self.seen

    @property
    def accuracy(self) -> float:
        """Share that was right, in [0, 1]."""
        return self.right / self.seen
