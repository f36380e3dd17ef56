"""How much the neurons of a network fire."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from sewdsl.snn.neuron import Neuron

if TYPE_CHECKING:
    from torch import Tensor, nn


class FiringRates:
    """The firing rate of every neuron node, over all that passes while it is watched; memory does not grow."""

    def __init__(self) -> None:
        self._spikes: dict[str, Tensor] = {}
        self._chances: dict[str, int] = {}

    @contextmanager
    def watch(self, model: nn.Module) -> Iterator[None]:
        """Counts the spikes of each forward within."""
        neurons = {name: module for name, module in model.named_modules() if isinstance(module, Neuron)}
        hooks = [module.register_forward_hook(partial(self._count, name)) for name, module in neurons.items()]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _count(self, name: str, _module: nn.Module, _inputs: Any, spikes: Tensor) -> None:
        """Adds a batch, without waiting for the device."""
        batch = self._batch(spikes.detach())
        self._spikes[name] = self._spikes[name] + batch if name in self._spikes else batch
        self._chances[name] = self._chances.get(name, 0) + spikes.numel()

    def _batch(self, spikes: Tensor) -> Tensor:
        """All spikes, in float32, which is exact up to 2^24 a batch."""
        return spikes.sum(dtype=torch.float32).long()

    @property
    def rates(self) -> dict[str, float]:
        """Spikes per neuron, sample and time-step, in [0, 1], by the node's name, in order of computation."""
        return {name: spikes.sum().item() / self._chances[name] for name, spikes in self._spikes.items()}
