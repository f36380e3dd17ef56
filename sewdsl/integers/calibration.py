"""Ranges of the currents that layers with weights read, measured in floats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from sewdsl.integers.steps.functions import Rescaled
from sewdsl.integers.steps.weighted import Convolution

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sewdsl.integers.network import IntegerNetwork
    from sewdsl.integers.value import Numbers
    from sewdsl.lower import SpikingNetwork
    from sewdsl.lower.inputs import Inputs

CHANNEL_BITS = 8
"""Bits by which the range of a channel can be smaller than the largest range, in case the samples hardly use it."""

MARGIN = 1 + 1 / 16
"""Factor of a measured range, because rounded weights change currents by some percent."""


def measure_ranges(
    model: SpikingNetwork, network: IntegerNetwork, batches: Iterable[Inputs]
) -> Mapping[str, tuple[Numbers, Numbers]]:
    """Return the smallest and the largest input ``[C]`` of each layer whose input the network rounds."""
    nodes = {node.name: node for node in model.network}
    sources, channels = dict[str, str](), dict[str, int]()
    for step in network.steps:
        if isinstance(step, Convolution) and isinstance(network.steps[step.inputs[0]], Rescaled):
            sources[step.name] = model.network.nodes[nodes[step.name].sources[0]].name
            channels[step.name] = network.steps[step.inputs[0]].value.shape[-1]
    ranges: dict[str, tuple[Numbers, Numbers]] = {}
    names = [*dict.fromkeys(sources.values())]
    for x in batches if names else ():
        with torch.no_grad():
            values = model.at(*names)(x)
        values = {names[0]: values} if len(names) == 1 else values
        for name, source in sources.items():
            # [T, N, C, places], also of a vector in the order of the channels.
            y = values[source].double().flatten(2).unflatten(2, (channels[name], -1))
            low, high = y.amin((0, 1, 3)).numpy(), y.amax((0, 1, 3)).numpy()
            before = ranges.get(name, (low, high))
            ranges[name] = np.minimum(before[0], low), np.maximum(before[1], high)
    return ranges
