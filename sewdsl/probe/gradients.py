"""Gradients of blocks: Figures 6, 7 and 8 of Fang et al. 2021."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

from sewdsl.probe.block import NamedResidual, named_residuals
from sewdsl.probe.watching import capture_outputs

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.lower import SpikingNetwork


class GradientAmplitude(NamedTuple):
    """How large the gradient is that arrives at a block's input.

    Attributes:
        block: Which one.
        amplitude: Euclidean norm of the loss's gradient by S, over all neurons, samples and time-steps of a batch; the
            mean over batches.
    """

    block: NamedResidual
    amplitude: float


def block_gradients(model: SpikingNetwork, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[GradientAmplitude, ...]:
    """The gradient of the cross-entropy by the input S of every block, in the mode that the network is in.

    No gradient of a weight is computed or changed.

    Args:
        model: The network; see :func:`sewdsl.probe.rates` for its mode.
        batches: Inputs as for the network, and classes ``[N]``.

    Raises:
        ValueError: there is no batch, an input does not fit, or what the network gives are no classes.
    """
    output = model.network.nodes[model.network.output].output
    if len(output.shape) > 1:
        message = f"the network gives [{output.size}], of which there is no cross-entropy; end it in a layer such as FC"
        raise ValueError(message)
    found = named_residuals(model.network)
    names = [block.source for block in found if block.source is not None]
    seen: dict[str, Tensor] = {}
    sums: dict[NamedResidual, float] = {}
    count = 0
    with torch.enable_grad(), capture_outputs(model, names, seen.__setitem__):
        for inputs, y in batches:
            x = _at_each_step(inputs.detach(), model).requires_grad_(inputs.is_floating_point())
            loss = functional.cross_entropy(model(x), y)
            sources = [x if block.source is None else seen[block.source] for block in found]
            for block, norm in zip(found, _norms(loss, sources), strict=True):
                sums[block] = sums.get(block, 0.0) + norm
            seen.clear()
            count += 1
    if found and not count:
        message = "there is no batch to look at"
        raise ValueError(message)
    return tuple(GradientAmplitude(block, total / count) for block, total in sums.items())


def _at_each_step(x: Tensor, model: SpikingNetwork) -> Tensor:
    """A static input as a sequence, so that what follows from it is computed, and has a gradient, at each time-step.

    In memory of its own: that time-steps are equal is seen where they share theirs.
    """
    settings = model.network.settings
    return x.expand(settings.steps, *x.shape).contiguous() if x.ndim == len(settings.input) + 1 else x


def _norms(loss: Tensor, sources: list[Tensor]) -> list[float]:
    """Of the gradients; zero where none arrives."""
    wanted = [source for source in sources if source.requires_grad]
    given = iter(torch.autograd.grad(loss, wanted, allow_unused=True) if wanted else ())
    arriving = [next(given) if source.requires_grad else None for source in sources]
    return [0.0 if g is None else torch.linalg.vector_norm(g.double()).item() for g in arriving]
