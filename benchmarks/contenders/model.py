"""Common interface of the networks of all libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@dataclass(frozen=True)
class Model:
    """Network of a contender.

    Attributes:
        module: Module with the parameters.
        forward: From the input of the workload to logits ``[N, classes]``, or for a layer to spikes
            ``[T, N, C, H, W]``.
        reset: Function that resets the state of stateful libraries. It is called, and timed, after each step.
        prepare: Function that prepares an engine, after the weights are loaded and before ``forward``, or None.
    """

    module: nn.Module
    forward: Callable[[Tensor], Tensor]
    reset: Callable[[], None] = lambda: None
    prepare: Callable[[], None] | None = None

    @property
    def parts(self) -> Iterator[nn.Module]:
        """Convolutions, batch norms, linear layers, and running rates of attention, in order."""
        # All libraries derive these layers from PyTorch's.
        kinds = nn.Conv2d | nn.Linear | _BatchNorm
        return (part for part in self.module.modules() if isinstance(part, kinds) or hasattr(part, "rate"))

    @property
    def values(self) -> list[Tensor]:
        """Weights and running statistics of the parts."""
        return [value for part in self.parts for value in (*part.parameters(), *part.buffers())]

    @property
    def weights(self) -> list[Tensor]:
        """Learnable parameters of the parts."""
        return [weight for part in self.parts for weight in part.parameters()]

    @property
    def time_constants(self) -> list[Tensor]:
        """Scalar w of each PLIF neuron. Empty for libraries with another parametrisation."""
        return [value for name, value in self.module.named_parameters() if name.rsplit(".", 1)[-1] == "w"]

    def load(self, values: Sequence[Tensor]) -> None:
        """Copy weights and running statistics, in order.

        Raises:
            ValueError: If their number or shapes differ.
        """
        own = self.values
        if [value.shape for value in own] != [value.shape for value in values]:
            message = f"weights do not match: expected {len(own)} tensors, got {len(values)}, or shapes differ"
            raise ValueError(message)
        with torch.no_grad():
            for value, source in zip(own, values, strict=True):
                value.copy_(source)
