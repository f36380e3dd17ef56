"""Neurons that integrate over all time-steps of a sequence."""

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
    """Membrane potential ``[N, *]`` before and after a time-step. ``after`` is None until the neurons have run."""

    before: Tensor
    after: Tensor | None = None


class SpikingModule(nn.Module):
    """Base class of modules whose outputs are spikes, each 0 or 1. Firing rates are measured on them."""


class Neuron(SpikingModule):
    """Spiking neurons of one kind, one per input element.

    The module holds learnable scalars but no membrane potential. Potentials exist during one forward pass, or belong to
    the caller.

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    def __init__(self, spec: NeuronSpec) -> None:
        super().__init__()
        self.spec = spec
        for name, value in spec.learnable().items():
            self.register_parameter(name, nn.Parameter(torch.tensor(float(value))))

    @property
    def learned(self) -> Mapping[str, Tensor]:
        """Learnable scalars by name."""
        # getattr also returns parametrized and pruned values, which are not in _parameters.
        return {name: getattr(self, name) for name in self.spec.learnable()}

    def initial(self, x_N: Tensor) -> Tensor:
        """Return the potential before the first time-step, shaped like one time-step of the input.

        Potentials are in float32 or wider.
        """
        return torch.full_like(x_N, self.spec.rest, dtype=torch.promote_types(x_N.dtype, torch.float32))

    def forward(self, x_TN: Tensor, potential: Potential | None = None) -> Tensor:
        """Return the spikes of a sequence from rest, or of one time-step of a stream."""
        if potential is None:
            return kernels.run_neurons(self.spec, x_TN, self.learned)
        spikes_N, potential.after = self.step(x_TN[0], potential.before)
        return spikes_N[None]

    def normalised(self, x_TN: Tensor, norm: BatchNorm, joint: PendingJoin | None = None) -> Tensor:
        """Return the spikes for the current of a batch norm, combined with a join.

        If a fused kernel applies, neither the current nor the potential nor the spikes are stored.

        Args:
            x_TN: Input of the batch norm, ``[T, N, C, *]``.
        """
        kernel = kernels.find_norm_kernel(self.spec, x_TN, self.learned)
        return run_normalised(self, kernel, x_TN, norm, joint)

    def step(self, x_N: Tensor, v_N: Tensor) -> tuple[Tensor, Tensor]:
        """Return the spikes of one time-step, and the membrane potential after it."""
        spikes_TN, v_N = kernels.run_neurons_from(self.spec, x_N[None], v_N, self.learned)
        return spikes_TN[0], v_N

    def extra_repr(self) -> str:
        return str(self.spec)


def run_normalised(
    module: nn.Module, kernel: kernels.StepKernel | None, x_TN: Tensor, norm: BatchNorm, joint: PendingJoin | None
) -> Tensor:
    """Return the output of neurons for the current of a batch norm, combined with a join.

    Args:
        kernel: Fused kernel for the input. None: run norm, neurons and join one after the other.
        x_TN: Input of the batch norm, ``[T, N, C, *]``.
    """
    if kernel is None:
        y_TN: Tensor = module(normalised(norm, x_TN))
        return y_TN if joint is None else joint.of(y_TN)
    fused = None if joint is None else joint.fused(x_TN)
    y_TN = kernels.run_norm_neurons(kernel, x_TN, norm.channels(x_TN), fused)
    return y_TN if joint is None or fused else joint.of(y_TN)


def normalised(norm: BatchNorm, x_TN: Tensor) -> Tensor:
    """Return the current of a batch norm, with time-steps expanded if those of the input are."""
    T = len(x_TN)
    # A stride of 0 over time means that all time-steps share memory: normalise one, and expand the result.
    if T == 1 or x_TN.stride(0):
        current: Tensor = norm(x_TN)
        return current
    return expand_steps(norm(x_TN[:1], repeats=T), T)
