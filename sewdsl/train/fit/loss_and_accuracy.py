"""Training loss, accuracy counts, and random temporal delete (appendix A.2 of Fang et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import astuple
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from sewdsl.ir.recipe import Recipe
from sewdsl.ir.settings import Settings
from sewdsl.light_dataclass import dataclass

if TYPE_CHECKING:
    from lightning.pytorch.strategies import Strategy
    from torch import Tensor

    from sewdsl.lower.inputs import Inputs


TOP = 5
"""Number of largest logits that count as correct in the top-5 accuracy."""

TOP5_CLASSES = 20
"""Minimum number of classes for a top-5 accuracy: with 10 classes, chance level is 50 %."""


def training_loss(model: Callable[..., Tensor], x: Inputs, y: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Return the readout ``[N, classes]`` of a batch and its mean loss.

    For a loss of each time-step, the readout is the mean over time-steps.

    Args:
        y: Classes ``[N]``, or class probabilities ``[N, classes]``.
    """
    if not recipe.loss.each_step:
        logits = model(x)
        return logits, recipe.loss.value(functional, logits, y, recipe.label_smoothing)
    sequence = model(x, return_sequence=True)
    return sequence.mean(0), recipe.loss.value(functional, sequence, y, recipe.label_smoothing)


def delete_steps(x: Inputs, keep: int, settings: Settings) -> Inputs:
    """Return an input, or several by name, with random time-steps (see :func:`temporal_delete`)."""
    if not isinstance(x, Mapping):
        # A static input has no time axis yet.
        static = x.ndim == len(settings.input) + 1
        return temporal_delete(x.expand(settings.steps, *x.shape) if static else x, keep)
    ranks = {source.name: len(source.shape) for source in settings.inputs}
    indices = temporal_delete(torch.arange(settings.steps), keep)
    # All inputs keep the same time-steps. A static input is repeated for each of them.
    return {
        name: each.expand(keep, *each.shape) if each.ndim == ranks[name] + 1 else each[indices.to(each.device)]
        for name, each in x.items()
    }


def temporal_delete(x_TN: Tensor, keep: int, generator: torch.Generator | None = None) -> Tensor:
    """Select random time-steps of a sequence, without replacement and in order.

    All samples of the batch keep the same time-steps, and each batch has a new selection.

    Args:
        x_TN: Sequence ``[T, N, *]``.
        keep: Number of time-steps T_train to keep, in 1..T.

    Returns:
        ``[keep, N, *]``.

    Raises:
        ValueError: If ``keep`` is out of range.
    """
    T = len(x_TN)
    if not 1 <= keep <= T:
        raise ValueError(f"cannot keep {keep} of {T} time-steps")
    selected = torch.randperm(T, generator=generator)[:keep].sort().values
    if x_TN.stride(0) == 0:
        return x_TN[:keep]  # An expanded static input: all time-steps are equal, and a slice needs no copy.
    return x_TN[selected.to(x_TN.device)]


@dataclass
class AccuracyTally:
    """Counts of correct samples, and the sum of the loss.

    Attributes:
        among_five: Samples with their class among the five largest logits. Of equal logits, the smaller class counts
            as larger.
    """

    right: int = 0
    seen: int = 0
    total_loss: float = 0.0
    among_five: int = 0

    def add(self, logits: Tensor, y: Tensor, loss: float) -> float:
        """Count a batch with its mean loss, and return the accuracy of the batch."""
        labels = y if y.ndim == 1 else y.argmax(1)  # The class of a mixed sample is the one with the largest weight.
        right = int((logits.argmax(1) == labels).sum())
        self.right += right
        # A stable sort: results do not depend on the device for equal logits.
        largest = logits.sort(dim=1, descending=True, stable=True).indices[:, :TOP]
        self.among_five += int((largest == labels[:, None]).sum())
        self.seen += len(y)
        self.total_loss += loss * len(y)
        return right / len(y)

    def of_all(self, strategy: Strategy) -> AccuracyTally:
        """Return the sum of the counts of all processes."""
        if strategy.root_device.type == "mps":  # MPS has no float64, and runs have one process there.
            return self
        counts = torch.tensor(astuple(self), dtype=torch.float64, device=strategy.root_device)
        right, seen, total_loss, among_five = strategy.reduce(counts, reduce_op="sum").tolist()
        return AccuracyTally(int(right), int(seen), total_loss, int(among_five))

    @property
    def loss(self) -> float:
        """Mean loss of the samples."""
        return self.total_loss / self.seen

    @property
    def top5_accuracy(self) -> float:
        """Fraction of samples with their class among the five largest logits, in [0, 1]."""
        return self.among_five / self.seen

    @property
    def accuracy(self) -> float:
        """Fraction of correct samples, in [0, 1]."""
        return self.right / self.seen
