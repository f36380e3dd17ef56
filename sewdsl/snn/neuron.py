"""The multi-step neuron."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sewdsl.snn import kernels
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.join import PendingJoin
from sewdsl.snn.protocols import NeuronSpec
from sewdsl.snn.time_steps import expand_steps


@dataclass
class Potential:
    """The membrane potential around a time-step of a stream.

    Attributes:
        before: ``[N, *]``, before the step.
        after: Likewise after it, once the neurons have run.
    """

    before: Tensor
    after: Tensor | None = None


class SpikingModule(nn.Module):
    """Whatever gives spikes, each 0 or 1: what is counted where firing rates are."""


class Neuron(SpikingModule):
    """Spiking neurons of one kind, one per element of their input.

    It holds learnable scalars, never a membrane potential: that lives inside one forward, or in the caller's hands.

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    def __init__(self, spec: NeuronSpec) -> None:
        super().__init__()
        self.spec = spec
        for name, value in spec.learnable().items():
            self.register_parameter(name, nn.Parameter(torch.tensor(float(value))))

    @property
    def learned(self) -> Mapping[str, Tensor]:
        """The learnable scalars by name, as a parametrization or pruning may make them of its parameters."""
        return {name: getattr(self, name) for name in self.spec.learnable()}

    def initial(self, x_N: Tensor) -> Tensor:
        """The membrane potential before the first step, shaped like one step of the input current; float32 at least."""
        return torch.full_like(x_N, self.spec.rest, dtype=torch.promote_types(x_N.dtype, torch.float32))

    def forward(self, x_TN: Tensor, potential: Potential | None = None) -> Tensor:
        """Spikes of a whole sequence, from rest, or of a step of a stream, from the potential before it."""
        if potential is None:
            return kernels.run_neurons(self.spec, x_TN, self.learned)
        spikes_N, potential.after = self.step(x_TN[0], potential.before)
        return spikes_N[None]

    def normalised(self, x_TN: Tensor, norm: BatchNorm, joint: PendingJoin | None = None) -> Tensor:
        """Spikes for the current that a batch norm makes, and what a join makes of them.

        Where there is a kernel for all of that, neither the current nor the potential nor the spikes are ever stored.

        Args:
            x_TN: What is normalised, ``[T, N, C, *]``.
        """
        kernel = kernels.find_norm_kernel(self.spec, x_TN, self.learned)
        return run_normalised(self, kernel, x_TN, norm, joint)

    def step(self, x_N: Tensor, v_N: Tensor) -> tuple[Tensor, Tensor]:
        """Spikes of one time-step and the membrane potential after it."""
        spikes_TN, v_N = kernels.run_neurons_from(self.spec, x_N[None], v_N, self.learned)
        return spikes_TN[0], v_N

    def extra_repr(self) -> str:
        return str(self.spec)


def run_normalised(
    module: nn.Module, kernel: kernels.StepKernel | None, x_TN: Tensor, norm: BatchNorm, joint: PendingJoin | None
) -> Tensor:
    """Return what neurons give for the current that a batch norm makes, and what a join makes of it.

    Args:
        kernel: Their kernel for such an input; None: norm, neurons and join run one after the other.
        x_TN: Input of the batch norm, ``[T, N, C, *]``.
    """
    if kernel is None:
        y_TN: Tensor = module(normalised(norm, x_TN))
        return y_TN if joint is None else joint.of(y_TN)
    fused = None if joint is None else joint.fused(x_TN)
    y_TN = kernels.run_norm_neurons(kernel, x_TN, norm.channels(x_TN), fused)
    return y_TN if joint is None or fused else joint.of(y_TN)


def normalised(norm: BatchNorm, x_TN: Tensor) -> Tensor:
    """The current; of time-steps that are one and the same memory, so are those of the current."""
    T = len(x_TN)
    if T == 1 or x_TN.stride(0):
        current: Tensor = norm(x_TN)
        return current
    return expand_steps(norm(x_TN[:1], repeats=T), T)
