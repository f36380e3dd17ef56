"""What training makes small."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.functional import cross_entropy

from sewdsl.ir.recipe import Recipe
from sewdsl.lower import SpikingNetwork

if TYPE_CHECKING:
    from torch import Tensor


def training_loss(model: SpikingNetwork, x: Tensor, y: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """The readout ``[N, classes]`` of a batch and its loss, a mean over the samples.

    ``loss mean`` is the cross-entropy of the readout; ``loss tet`` is the mean over the time-steps of the
    cross-entropy of each step's output, and the readout is the mean of the outputs::

        L = 1/T · Σ CE(O[t], y)

    Source: Deng et al. 2022, Temporal Efficient Training, equation 9, without its regulariser.
    """
    if recipe.loss == "mean":
        logits = model(x)
        return logits, cross_entropy(logits, y, label_smoothing=recipe.label_smoothing)
    sequence = model(x, return_sequence=True)
    flat = sequence.flatten(0, 1)
    loss = cross_entropy(flat, y.repeat(len(sequence)), label_smoothing=recipe.label_smoothing)
    return sequence.mean(0), loss
