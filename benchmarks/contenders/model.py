"""A network of some library, in the form in which all are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@dataclass(frozen=True)
class Model:
    """What a contender builds.

    Attributes:
        module: Holds the parameters.
        forward: From the workload's input to logits ``[N, classes]``, or of a layer to spikes ``[T, N, C, H, W]``.
        reset: Forgets the state, for libraries that keep some; called after each step, and timed, as their users do.
        prepare: Of an engine that computes in float32, at one size, with weights that do not change any more: makes it
            ready, once the weights are loaded and before ``forward``; None: it runs as it is.
    """

    module: nn.Module
    forward: Callable[[Tensor], Tensor]
    reset: Callable[[], None] = lambda: None
    prepare: Callable[[], None] | None = None

    @property
    def parts(self) -> Iterator[nn.Module]:
        """The convolutions, batch norms and linear layers in order; all libraries derive theirs from torch's."""
        return (part for part in self.module.modules() if isinstance(part, nn.Conv2d | nn.Linear | _BatchNorm))

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
        """The scalar w of each PLIF neuron, by its name; those who parametrise otherwise have none."""
        return [value for name, value in self.module.named_parameters() if name.rsplit(".", 1)[-1] == "w"]

    def load(self, values: Sequence[Tensor]) -> None:
        """Copies weights and running statistics, in order.

        Raises:
            ValueError: they are not this network's.
        """
        own = self.values
        if [value.shape for value in own] != [value.shape for value in values]:
            message = f"the weights do not fit: {len(own)} tensors here, {len(values)} there, or other shapes"
            raise ValueError(message)
        with torch.no_grad():
            for value, given in zip(own, values, strict=True):
                value.copy_(given)
