"""Firing rates and gradient amplitudes of residual blocks: Figures 4 to 8 and 11 of Fang et al. 2021."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from sewdsl.analysis.residual_blocks import NamedResidual, named_residuals
from sewdsl.lower import SpikingNetwork
from sewdsl.lower.inputs import Inputs, by_name, map_inputs
from sewdsl.lower.spiking_network import watch_nodes


class BlockRate(NamedTuple):
    """Mean output of a block per neuron, sample and time-step."""

    block: NamedResidual
    branch: float | None
    """Firing rate of A, the last neuron of the branch, in [0, 1], or None if the branch ends in another layer."""
    output: float
    """Mean of O. With ADD, this is a mean count, which may exceed 1."""


def block_rates(model: SpikingNetwork, batches: Iterable[tuple[Inputs, Tensor]]) -> tuple[BlockRate, ...]:
    """Measure the firing rates of all blocks over all batches, in the current mode of the network.

    Args:
        model: The network. In training mode, batch norm uses and updates the statistics of each batch. This is the only
            meaningful mode for an untrained network.
        batches: Inputs of the network, and classes, which are ignored.

    Raises:
        ValueError: If there is no batch, or an input does not fit.
    """
    blocks = named_residuals(model.network)
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}

    def count(name: str, _inputs: Sequence[Tensor], y_TN: Tensor) -> None:
        # Sums of many spikes exceed the 24 bits of float32.
        sums[name] = sums.get(name, 0.0) + y_TN.sum(dtype=torch.float64).item()
        counts[name] = counts.get(name, 0) + y_TN.numel()

    names = [name for block in blocks for name in (block.branch, block.output) if name is not None]
    with torch.no_grad(), watch_nodes(model, names, count):
        for x, _ in batches:
            model(x)
    # A network without residual blocks has no rates, even without a batch.
    if blocks and not counts:
        raise ValueError("cannot measure firing rates without a batch")
    means = {name: sums[name] / counts[name] for name in sums}
    return tuple(
        BlockRate(block, None if block.branch is None else means[block.branch], means[block.output]) for block in blocks
    )


class GradientAmplitude(NamedTuple):
    """Amplitude of the gradient at the input of a block."""

    block: NamedResidual
    amplitude: float
    """Euclidean norm of the gradient of the loss with respect to S, over all neurons, samples and time-steps of a
    batch, averaged over batches."""


def block_gradients(model: SpikingNetwork, batches: Iterable[tuple[Inputs, Tensor]]) -> tuple[GradientAmplitude, ...]:
    """Measure the gradient of the cross-entropy at the input S of each block, in the current mode of the network.

    Gradients of weights are neither computed nor changed.

    Args:
        model: The network (see :func:`block_rates` for its mode).
        batches: Inputs of the network, and classes ``[N]``.

    Raises:
        ValueError: If there is no batch, an input does not fit, or the output is not a vector of classes.
    """
    network = model.network
    if network.outputs and network.recipe is None:
        names = ", ".join(name for name, _ in network.outputs)
        raise ValueError(f"gradients require one output, or a recipe with a loss, but the network has {names}")
    main, output = network.recipe.terms[0].output if network.recipe else "", network.nodes[network.main_output].output
    if len(output.shape) > 1:
        message = f"cross-entropy requires a vector, but the output is [{output.size}]; end the network with e.g. FC"
        raise ValueError(message)
    blocks = named_residuals(model.network)
    named = {source.name for source in model.network.settings.inputs}
    source_names = [block.source for block in blocks if block.source is not None and block.source not in named]
    outputs: dict[str, Tensor] = {}
    sums: dict[NamedResidual, float] = {}
    count = 0

    def keep(name: str, _inputs: Sequence[Tensor], y_TN: Tensor) -> None:
        outputs[name] = y_TN

    with torch.enable_grad(), watch_nodes(model, source_names, keep):
        for inputs, y in batches:
            x = map_inputs(
                lambda each: each.detach().requires_grad_(each.is_floating_point()), _at_each_step(inputs, model)
            )
            readout = model(x)
            loss = functional.cross_entropy(readout[main] if network.outputs else readout, y)
            # A block without a source reads the network's input.
            outputs |= x if named else {}
            sources = [x if block.source is None else outputs[block.source] for block in blocks]
            for block, norm in zip(blocks, _norms(loss, sources), strict=True):
                sums[block] = sums.get(block, 0.0) + norm
            # Release the activations before the next forward pass.
            outputs.clear()
            count += 1
    if blocks and not count:
        raise ValueError("cannot measure gradients without a batch")
    return tuple(GradientAmplitude(block, total / count) for block, total in sums.items())


def _at_each_step(x: Inputs, model: SpikingNetwork) -> Inputs:
    """Expand static inputs to sequences, to get a gradient at each time-step."""
    settings = model.network.settings
    values = by_name(settings, (x,), {})
    # Contiguous: the network detects an expanded input by its shared memory, and computes it once.
    sequences = {
        source.name: each.expand(settings.steps, *each.shape).contiguous()
        if each.ndim == len(source.shape) + 1
        else each
        for source, each in zip(settings.sources, values, strict=True)
    }
    return sequences if settings.inputs else sequences[""]


def _norms(loss: Tensor, sources: list[Tensor]) -> list[float]:
    """Return the norm of the gradient at each source, or 0 if no gradient reaches it."""
    differentiable = [source for source in sources if source.requires_grad]
    gradients = iter(torch.autograd.grad(loss, differentiable, allow_unused=True) if differentiable else ())
    by_source = [next(gradients) if source.requires_grad else None for source in sources]
    return [0.0 if g is None else torch.linalg.vector_norm(g.double()).item() for g in by_source]
