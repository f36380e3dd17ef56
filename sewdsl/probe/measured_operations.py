"""Operations that a network takes for what it is shown, counted value by value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sewdsl.analysis.energy import LayerCounts, LayerOperations, operation_bounds
from sewdsl.ir.network import Network
from sewdsl.ir.op import Activation
from sewdsl.lower import SpikingNetwork
from sewdsl.probe.capture_outputs import capture_inputs, capture_outputs
from sewdsl.probe.untrained import active_dropouts


@dataclass
class MeasuredOperations:
    """What a layer with weights computed; integers, over all samples.

    Attributes:
        most: The layer, and what it computes at most for one sample.
        steps: How often it computed: T times for each sample, or once where the input is the same at each time-step.
        events: Operations if a count is one event: one for each value that is not zero and each weight that it meets.
        accumulations: Operations if a count k is k spikes.
        values: Values of its input at all time-steps.
        nonzero: How many of them were not zero.
        largest: The greatest of them, by size.
    """

    most: LayerOperations
    samples: int = 0
    steps: int = 0
    events: int = 0
    accumulations: int = 0
    values: int = 0
    nonzero: int = 0
    largest: float = 0.0

    @property
    def rate(self) -> float:
        """Share of values that are not zero, in [0, 1]; what the field calls the firing rate of a layer's input."""
        return self.nonzero / self.values if self.values else 0.0

    @property
    def counts(self) -> LayerCounts:
        """The same for one sample, on average."""
        dense, events = self.dense / self.samples, self.events / self.samples
        accumulations = self.accumulations / self.samples
        return LayerCounts(self.most, dense, events, accumulations, self.rate, self.largest, self.activity)

    @property
    def dense(self) -> int:
        """Multiply-accumulates at every tap."""
        return self.most.dense // self.most.steps * self.steps

    @property
    def activity(self) -> float:
        """Share of values that are not zero, each as often as it meets a weight, in [0, 1]."""
        possible = self.most.meetings * self.steps
        return self.events / possible if possible else 0.0


@dataclass
class MeasuredActivations:
    """What the neurons of a network gave, at all time-steps of all samples."""

    values: int = 0
    nonzero: int = 0

    @property
    def sparsity(self) -> float:
        """Share of values that are zero, in [0, 1]."""
        return 1 - self.nonzero / self.values if self.values else 0.0

    def see(self, _name: str, y_TN: Tensor) -> None:
        """Counts what a neuron gave."""
        self.values += y_TN.numel()
        self.nonzero += int(torch.count_nonzero(y_TN))


def measure_operations(
    model: SpikingNetwork,
    batches: Iterable[tuple[Tensor, Tensor]],
    activations: MeasuredActivations | None = None,
) -> tuple[MeasuredOperations, ...]:
    """The operations of every layer with weights over all batches, in order, in the mode that the network is in.

    They are counted exactly, as :func:`sewdsl.analysis.energy.operation_bounds` counts what they are at most.

    Args:
        model: The network; see :func:`sewdsl.probe.block_measures` for its mode.
        batches: Inputs as for the network, and classes, which are not looked at.
        activations: Where what neurons and other activations give is counted too.

    Raises:
        ValueError: there is no batch, an input does not fit, or a dropout is in training mode, where it makes other
            values of spikes.
    """
    network = model.network
    for name in active_dropouts(model):
        raise ValueError(f"{name} is in training mode and scales spikes: see sewdsl.probe.set_untrained_mode")
    found = {most.node.name: MeasuredOperations(most) for most in operation_bounds(network)}
    places = {name: _places(network, measured.most) for name, measured in found.items()}
    static = False

    def count(name: str, inputs: tuple[Tensor, ...]) -> None:
        measured = found[name]
        once = static and not any(source.varies for source in network.inputs(measured.most.node))
        _add(measured, [x_TN[:1] if once else x_TN for x_TN in inputs], places[name])

    seen = activations if activations is not None else MeasuredActivations()
    neurons = [node.name for node in network if isinstance(node.op, Activation)] if activations is not None else []
    with torch.no_grad(), capture_inputs(model, found, count), capture_outputs(model, neurons, seen.see):
        for x, _ in batches:
            static = x.ndim == len(network.settings.input) + 1
            model(x)
    if any(not measured.samples for measured in found.values()):
        raise ValueError("there is no batch to look at")
    return tuple(found.values())


def _places(network: Network, most: LayerOperations) -> list[Tensor | None]:
    """How many weights a value meets, by its row and column; of a vector, one row and column. One for each input."""
    return [
        None if fan is None else torch.tensor(fan.rows)[:, None] * torch.tensor(fan.columns) * fan.outputs
        for fan in most.node.op.fan_outs(*network.inputs(most.node))
    ]


def _add(measured: MeasuredOperations, inputs: Sequence[Tensor], places: Sequence[Tensor | None]) -> None:
    """Adds what inputs ``[T, N, C, H, W]`` or ``[T, N, F]`` take; sums of float64 are exact up to 2^53."""
    T, N = inputs[0].shape[:2]
    others = 0, 1, 2  # T, N, and C or F: what is left is the place
    measured.samples += N
    measured.steps += T * N
    for x_TN, met in zip(inputs, places, strict=True):
        if met is None:
            continue
        measured.values += x_TN.numel()
        measured.nonzero += int(torch.count_nonzero(x_TN))
        measured.largest = max(measured.largest, float(x_TN.abs().amax()))
        events = int((torch.count_nonzero(x_TN, others).cpu() * met).sum())
        measured.events += events
        if measured.most.upper == 1:
            measured.accumulations += events
        else:
            measured.accumulations += int((x_TN.abs().sum(others, dtype=torch.float64).cpu().long() * met).sum())
