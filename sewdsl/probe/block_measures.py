"""Firing rates and gradient amplitudes of residual blocks: Figures 4 to 8 and 11 of Fang et al. 2021."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from sewdsl.analysis.residual_blocks import NamedResidual, named_residuals
from sewdsl.lower import SpikingNetwork
from sewdsl.probe.capture_outputs import capture_outputs


class BlockRate(NamedTuple):
    """How much a block fires, for each neuron, sample and time-step.

    Attributes:
        branch: Firing rate of A, the neuron that ends the branch, in [0, 1]; None: none does.
        output: Mean of O; with ADD a mean count, which can be more than 1.
    """

    block: NamedResidual
    branch: float | None
    output: float


def block_rates(model: SpikingNetwork, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[BlockRate, ...]:
    """The firing rates of every block over all batches, in the mode that the network is in.

    Args:
        model: The network. In training mode batch norm takes the statistics of each batch, and updates those it keeps;
            a network that has not been trained has no others that are of use.
        batches: Inputs as for the network, and classes, which are not looked at.

    Raises:
        ValueError: there is no batch, or an input does not fit.
    """
    found = named_residuals(model.network)
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}

    def count(name: str, y_TN: Tensor) -> None:
        sums[name] = sums.get(name, 0.0) + y_TN.sum(dtype=torch.float64).item()
        counts[name] = counts.get(name, 0) + y_TN.numel()

    names = [name for block in found for name in (block.branch, block.output) if name is not None]
    with torch.no_grad(), capture_outputs(model, names, count):
        for x, _ in batches:
            model(x)
    if found and not counts:
        raise ValueError("there is no batch to look at")
    means = {name: sums[name] / counts[name] for name in sums}
    return tuple(
        BlockRate(block, None if block.branch is None else means[block.branch], means[block.output]) for block in found
    )


class GradientAmplitude(NamedTuple):
    """How large the gradient is that arrives at a block's input.

    Attributes:
        amplitude: Euclidean norm of the loss's gradient by S, over all neurons, samples and time-steps of a batch; the
            mean over batches.
    """

    block: NamedResidual
    amplitude: float


def block_gradients(model: SpikingNetwork, batches: Iterable[tuple[Tensor, Tensor]]) -> tuple[GradientAmplitude, ...]:
    """The gradient of the cross-entropy by the input S of every block, in the mode that the network is in.

    No gradient of a weight is computed or changed.

    Args:
        model: The network; see :func:`sewdsl.probe.block_measures` for its mode.
        batches: Inputs as for the network, and classes ``[N]``.

    Raises:
        ValueError: there is no batch, an input does not fit, or what the network gives are no classes.
    """
    if model.network.outputs:
        several = ", ".join(name for name, _ in model.network.outputs)
        message = f"the network gives {several}, and a loss is of one output: write 'body' in place of 'outputs'"
        raise ValueError(message)
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
        raise ValueError("there is no batch to look at")
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
