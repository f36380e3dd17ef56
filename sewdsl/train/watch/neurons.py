"""How much each single neuron fires."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sewdsl.train.rates import FiringRates
from sewdsl.train.watch.population import EDGES, Population

if TYPE_CHECKING:
    from torch import Tensor


class NeuronRates(FiringRates):
    """Firing rates of layers, and of each single neuron in them: 4 bytes a neuron, however many samples pass.

    It takes as long as counting all spikes of a layer together.
    """

    def _batch(self, spikes: Tensor) -> Tensor:
        """The spikes ``[T, N, *]`` of each neuron.

        The axes are put in the order in which they are stored: maps that are stored channels-last would be summed
        thirty times slower.
        """
        order = [0, 1, *sorted(range(2, spikes.ndim), key=spikes.stride, reverse=True)]
        back = sorted(range(spikes.ndim), key=order.__getitem__)[2:]
        return spikes.permute(order).sum((0, 1), dtype=torch.float32).int().permute([axis - 2 for axis in back])

    @property
    def populations(self) -> dict[str, Population]:
        """The neurons by how much they fire, by the node's name, in order of computation."""
        return {
            name: count_population(spikes, self._chances[name] // spikes.numel())
            for name, spikes in self._spikes.items()
        }


def count_population(spikes: Tensor, chances: int) -> Population:
    """Counts neurons by their rate.

    Args:
        spikes: How often each neuron has fired, ``[C, *]``.
        chances: How often it could have: time-steps of all samples.
    """
    rates_CP = spikes.cpu().reshape(len(spikes), -1).contiguous().double() / chances
    bins_CP = torch.bucketize(rates_CP, torch.tensor((0.0, *EDGES), dtype=torch.float64))
    dead, *histogram, saturated = torch.bincount(bins_CP.flatten(), minlength=len(EDGES) + 2).tolist()
    never_CP, full_CP = bins_CP == 0, bins_CP > len(EDGES)
    return Population(
        shape=tuple(spikes.shape),
        dead=dead,
        saturated=saturated,
        always=int((rates_CP == 1).sum()),
        dead_channels=int(never_CP.all(1).sum()),
        dead_places=int(never_CP.all(0).sum()),
        saturated_channels=int(full_CP.all(1).sum()),
        histogram=tuple(histogram),
    )
