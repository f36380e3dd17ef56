"""Neurons whose time-step is written as equations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sewdsl.snn import kernels
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.join import PendingJoin
from sewdsl.snn.neuron import SpikingModule, run_normalised
from sewdsl.snn.protocols import EquationSpec
from sewdsl.snn.streamed_past import ReadsPast, StreamedPast


class Equations(ReadsPast):
    """Neurons of one kind, one per element of their input, whose time-step is written as equations.

    It holds what is learned, never a state: that lives inside one forward, or in the caller's hands.

    Args:
        channels: C, for what each channel learns by itself.
        steps: T, for what each time-step learns by itself.

    Shape: ``[T, N, C, *]`` to the same.
    """

    def __init__(self, spec: EquationSpec, channels: int, steps: int) -> None:
        super().__init__()
        self.spec = spec
        for name, learned in spec.equations.learned.items():
            value = torch.full(learned.shape(channels, steps), float(learned.initial))
            self.register_parameter(name, nn.Parameter(value))

    @property
    def learned(self) -> dict[str, Tensor]:
        """What is learned, by name, as a parametrization or pruning may make it of its parameters."""
        return {name: getattr(self, name) for name in self.spec.equations.learned}

    @property
    def keeps_inputs(self) -> bool:
        """Whether it has a state to keep between the time-steps of a stream: ``[S, N, *]``."""
        return bool(self.spec.equations.after)

    def forward(self, x_TN: Tensor, past: StreamedPast | None = None) -> Tensor:
        """What the neurons give for a whole sequence, from the states at the start, or for a step of a stream."""
        if past is None:
            return kernels.run_equations(self.spec, x_TN, None, self.learned, final=False)[0]
        y_TN, after = self.run(x_TN, past.before, past.t)
        past.after = after if self.keeps_inputs else None
        return y_TN

    def normalised(self, x_TN: Tensor, norm: BatchNorm, joint: PendingJoin | None = None) -> Tensor:
        """Return what the neurons give for the current that a batch norm makes, and what a join makes of it.

        If there is a kernel for all of that, neither the current nor the states nor the output of the neurons are
        stored.

        Args:
            x_TN: Input of the batch norm, ``[T, N, C, *]``.
        """
        kernel = kernels.find_norm_equations(self.spec, x_TN, self.learned)
        return run_normalised(self, kernel, x_TN, norm, joint)

    def run(self, x_TN: Tensor, start: Tensor | None = None, first: int = 0) -> tuple[Tensor, Tensor]:
        """What the neurons give, and their states after the last time-step, ``[S, N, *]``, in float32 at least.

        Args:
            start: States before the first time-step, ``[S, N, *]``; None: those of the equations.
            first: How many time-steps there were before.
        """
        learned = self.learned
        for name, item in self.spec.equations.learned.items():
            if item.per_step:
                learned[name] = learned[name][first : first + len(x_TN)]
        return kernels.run_equations(self.spec, x_TN, start, learned, final=True)

    def extra_repr(self) -> str:
        return str(self.spec)


class SpikingEquations(Equations, SpikingModule):
    """Such neurons that give spikes, each 0 or 1."""
