"""Untrained networks: mode for measurements, and random inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from sewdsl.ir.network import Network
from sewdsl.ir.settings import InputSetting
from sewdsl.lower import SpikingNetwork
from sewdsl.lower.inputs import Inputs, map_inputs


def set_untrained_mode(model: SpikingNetwork) -> SpikingNetwork:
    """Set a network to training mode, as batch norm has no other statistics yet, but with dropouts disabled."""
    model.train()
    # Dropout scales spikes, which would change the measured rates.
    for name in active_dropouts(model):
        model.get_submodule(name).eval()
    return model


def active_dropouts(model: SpikingNetwork) -> Iterator[str]:
    """Yield the names of nodes that compute something else than in evaluation, because they are in training mode."""
    for node in model.network.layers:
        if node.op.in_evaluation() != node.op and model.get_submodule(node.name).training:
            yield node.name


EVENT_PROBABILITY = 0.1
"""Probability of an event at each position and time-step of a sequence."""


def random_inputs(
    network: Network, *, samples: int, batches: int = 1, seed: int = 0
) -> Iterator[tuple[Inputs, Tensor]]:
    """Yield batches of random inputs and classes, determined by the seed.

    A static input has standard normal values, as normalised images do. A sequence has events with a probability of
    10 % at each position. An input of integers has all values with equal probability.

    Args:
        samples: Batch size N.

    Yields:
        ``[N, C, H, W]`` or ``[T, N, C, H, W]``, or a dictionary of named inputs, and classes ``[N]``.
    """
    settings = network.settings
    classes = network.nodes[network.main_output].output.elements
    random = torch.Generator().manual_seed(seed)
    for _ in range(batches):
        drawn = {source.name: _random_input(source, settings.steps, samples, random) for source in settings.sources}
        x = drawn if settings.inputs else drawn[""]
        yield x, torch.randint(0, classes, (samples,), generator=random)


def _random_input(source: InputSetting, steps: int, samples: int, random: torch.Generator) -> Tensor:
    if source.of is not None:
        steps_axis = [] if source.encode == "direct" else [steps]
        return torch.randint(source.of, (*steps_axis, samples, *source.shape), generator=random).float()
    if source.encode == "direct":
        return torch.randn((samples, *source.shape), generator=random)
    return (torch.rand((steps, samples, *source.shape), generator=random) < EVENT_PROBABILITY).float()


def move_batches(batches: Iterable[tuple[Inputs, Tensor]], device: str) -> Iterator[tuple[Inputs, Tensor]]:
    """Yield the batches on a device."""
    for x, y in batches:
        yield map_inputs(lambda each: each.to(device), x), y.to(device)
