"""Neurons that integrate over all time-steps of a sequence."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sewdsl.snn import kernels
from sewdsl.snn.autocast import widened
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.join import PendingJoin
from sewdsl.snn.protocols import EquationSpec, NeuronSpec
from sewdsl.snn.streamed_past import ReadsPast, StreamedPast
from sewdsl.snn.time_steps import expand_steps


class SpikingModule(nn.Module):
    """Base class of modules whose outputs are spikes, each 0 or 1. Firing rates are measured on them."""


class NeuronModule(ReadsPast):
    """Base class of neurons of one kind, one per element of an input.

    The module holds learnable parameters but no state. States exist during one forward pass, or belong to the caller.
    """

    def __init__(self, spec: NeuronSpec | EquationSpec, parameters: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.spec, self._names = spec, tuple(parameters)
        for name, value in parameters.items():
            self.register_parameter(name, nn.Parameter(value))

    @property
    def learned(self) -> dict[str, Tensor]:
        """Learnable parameters by name, in float32 or wider as states are."""
        # getattr also returns parametrized and pruned values, which are not in _parameters.
        return {name: widened(getattr(self, name)) for name in self._names}

    def normalised(self, x_TN: Tensor, norm: BatchNorm, joint: PendingJoin | None = None) -> Tensor:
        """Return the output for the current of a batch norm, combined with a join.

        If a fused kernel applies, neither the current nor the states nor the output of the neurons are stored.

        Args:
            x_TN: Input of the batch norm, ``[T, N, C, *]``.
        """
        kernel = kernels.find_norm_kernel(self.spec, x_TN, self.learned)
        if kernel is None:
            y_TN: Tensor = self(normalised(norm, x_TN))
            return y_TN if joint is None else joint.of(y_TN)
        fused = None if joint is None else joint.fused(x_TN)
        y_TN = kernels.run_norm_neurons(kernel, x_TN, norm.channels(x_TN), fused, batch=norm.training)
        return y_TN if joint is None or fused else joint.of(y_TN)

    def extra_repr(self) -> str:
        return str(self.spec)


class Neuron(SpikingModule, NeuronModule):
    """Spiking neurons with a membrane potential.

    Shape: ``[T, N, *]`` input current to ``[T, N, *]`` spikes, each 0 or 1.
    """

    state_axes = 0
    spec: NeuronSpec

    def __init__(self, spec: NeuronSpec) -> None:
        super().__init__(spec, {name: torch.tensor(float(value)) for name, value in spec.learnable().items()})

    @property
    def keeps_inputs(self) -> bool:
        """Always true: the neurons keep their membrane potential, ``[N, *]``, in float32 or wider."""
        return True

    def forward(self, x_TN: Tensor, past: StreamedPast | None = None) -> Tensor:
        """Return the spikes of a sequence from rest, or of one time-step of a stream."""
        if past is None:
            return kernels.run_neurons(self.spec, x_TN, self.learned)
        spikes_TN, past.after = kernels.run_neurons_from(self.spec, x_TN, past.before, self.learned)
        return spikes_TN


def normalised(norm: BatchNorm, x_TN: Tensor) -> Tensor:
    """Return the current of a batch norm, with time-steps expanded if those of the input are."""
    T = len(x_TN)
    # A stride of 0 over time means that all time-steps share memory: normalise one, and expand the result.
    if T == 1 or x_TN.stride(0):
        current: Tensor = norm(x_TN)
        return current
    return expand_steps(norm(x_TN[:1], repeats=T), T)
