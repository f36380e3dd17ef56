"""Module of neurons that are defined by equations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sewdsl.equations.step import Draw, Learned
from sewdsl.snn import kernels
from sewdsl.snn.neuron import NeuronModule, SpikingModule
from sewdsl.snn.protocols import EquationSpec
from sewdsl.snn.streamed_past import StreamedPast


class Equations(NeuronModule):
    """Neurons whose time-step is defined by equations.

    Args:
        channels: C, for parameters per channel.
        steps: T, for parameters per time-step.

    Shape: inputs of one shape, ``[T, N, C, *]``, unchanged. An input that does not change over time may have T = 1.
    """

    spec: EquationSpec

    def __init__(self, spec: EquationSpec, channels: int, steps: int) -> None:
        learned = spec.equations.learned.items()
        super().__init__(spec, {name: _initial_values(item, channels, steps) for name, item in learned})

    @property
    def keeps_inputs(self) -> bool:
        """Whether the neurons have states ``[S, N, *]`` to keep between the time-steps of a stream."""
        return bool(self.spec.equations.after)

    def forward(self, *inputs: Tensor, past: StreamedPast | None = None) -> Tensor:
        """Return the output for a sequence from the initial states, or for one time-step of a stream."""
        if past is None:
            return kernels.run_neurons(self.spec, pack_inputs(inputs), self.learned)
        y_TN, after = self.run(pack_inputs(inputs), past.before, past.t)
        past.after = after if self.keeps_inputs else None
        return y_TN

    def run(self, x_TN: Tensor, start: Tensor | None = None, first: int = 0) -> tuple[Tensor, Tensor]:
        """Return the output and the states after the last time-step.

        Args:
            x_TN: Input, or the result of :func:`pack_inputs`.
            start: States before the first time-step, ``[S, N, *]``, or None for initial states of the equations.
            first: Number of time-steps before x_TN, which selects parameters per time-step.

        Returns:
            The output, and states ``[S, N, *]`` in float32 or wider. The numbers of a vector are consecutive states.
        """
        learned = self.learned
        for name, item in self.spec.equations.learned.items():
            if item.per_step:
                learned[name] = learned[name][first : first + x_TN.shape[0] // self.spec.equations.inputs]
        return kernels.run_neurons_from(self.spec, x_TN, start, learned)


def _initial_values(learned: Learned, channels: int, steps: int) -> Tensor:
    values = torch.empty(learned.shape(channels, steps))
    for index, start in enumerate(learned.starts):
        # The axis of a vector follows that of time-steps.
        row = values if learned.more is None else values.select(int(learned.per_step), index)
        if isinstance(start, Draw):
            getattr(row, f"{start.distribution}_")(start.first, start.second)
        else:
            row.fill_(start)
    return values


def pack_inputs(inputs: Sequence[Tensor]) -> Tensor:
    """Return the inputs of a layer of neurons, one after the other along time, ``[I·T, N, C, *]``.

    A single input is returned as it is. All others are copied, so that kernels and operators have one input.
    """
    if len(inputs) == 1:
        return inputs[0]
    T = max(map(len, inputs))
    rows = [x_TN.expand(T, *x_TN.shape[1:]).flatten(0, 1) for x_TN in inputs]
    # Concatenated as [I·T·N, C, *], maps keep a channels-last layout.
    return torch.cat(rows).reshape(len(inputs) * T, *inputs[0].shape[1:])


class SpikingEquations(Equations, SpikingModule):
    """Neurons with equations whose outputs are spikes, each 0 or 1."""
