"""Untrained networks for a probe: the mode they are measured in, and random inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from sewdsl.ir.network import Network
from sewdsl.lower import SpikingNetwork


def set_untrained_mode(model: SpikingNetwork) -> SpikingNetwork:
    """Puts a network into training mode, as batch norm has no statistics yet but those of each batch; drops nothing."""
    model.train()
    for name in active_dropouts(model):
        model.get_submodule(name).eval()
    return model


def active_dropouts(model: SpikingNetwork) -> Iterator[str]:
    """Names of the nodes that do something else than in evaluation, since their modules are in training mode."""
    for node in model.network.nodes[1:]:
        if node.op.in_evaluation() != node.op and model.get_submodule(node.name).training:
            yield node.name


EVENT_PROBABILITY = 0.1
"""The chance of an event at each place and time-step of a sequence."""


def random_inputs(
    network: Network, *, samples: int, batches: int = 1, seed: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of inputs and classes, the same for the same seed.

    A static input is an image of standard normal numbers, as images are once they are normalised; a sequence has an
    event at a tenth of all places.

    Args:
        samples: N of each batch.

    Yields:
        ``[N, C, H, W]`` or ``[T, N, C, H, W]``, and classes ``[N]``.
    """
    settings = network.settings
    classes = network.nodes[network.output].output.elements
    random = torch.Generator().manual_seed(seed)
    for _ in range(batches):
        if settings.encode == "direct":
            x = torch.randn((samples, *settings.input), generator=random)
        else:
            x = (torch.rand((settings.steps, samples, *settings.input), generator=random) < EVENT_PROBABILITY).float()
        yield x, torch.randint(0, classes, (samples,), generator=random)


def move_batches(batches: Iterable[tuple[Tensor, Tensor]], device: str) -> Iterator[tuple[Tensor, Tensor]]:
    """The same batches of inputs and classes, on a device."""
    for x, y in batches:
        yield x.to(device), y.to(device)
