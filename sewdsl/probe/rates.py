"""Firing rates of blocks: Figures 4, 5 and 11 of Fang et al. 2021."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import torch

from sewdsl.probe.block import NamedResidual, named_residuals
from sewdsl.probe.watching import capture_outputs

if TYPE_CHECKING:
    from torch import Tensor

    from sewdsl.lower import SpikingNetwork


class BlockRate(NamedTuple):
    """How much a block fires, for each neuron, sample and time-step.

    Attributes:
        block: Which one.
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
        message = "there is no batch to look at"
        raise ValueError(message)
    means = {name: sums[name] / counts[name] for name in sums}
    return tuple(
        BlockRate(block, None if block.branch is None else means[block.branch], means[block.output]) for block in found
    )
