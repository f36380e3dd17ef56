"""Exact counts of the operations of a network on given inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sewdsl.analysis.energy import LayerCounts, LayerOperations, operation_bounds
from sewdsl.ir.node import Node
from sewdsl.lower import SpikingNetwork
from sewdsl.lower.inputs import is_static
from sewdsl.lower.spiking_network import watch_nodes
from sewdsl.probe.untrained import active_dropouts
from sewdsl.snn.time_filters import DelayedLinear


@dataclass
class MeasuredOperations:
    """Operations of a layer with weights, as integers summed over samples."""

    most: LayerOperations
    """The layer, with the upper bound of its operations per sample."""
    samples: int = 0
    steps: int = 0
    """Number of computed time-steps: T per sample, or one for a static input."""
    events: int = 0
    """Operations if each non-zero value is one event: the number of weights that non-zero values meet."""
    accumulations: int = 0
    """Operations if a count k is k spikes."""
    values: int = 0
    """Number of input values at all time-steps."""
    nonzero: int = 0
    """Number of non-zero input values."""
    largest: float = 0.0
    """Largest absolute input value."""
    connections: int = 0
    """Events if every input value were non-zero."""

    @property
    def rate(self) -> float:
        """Fraction of non-zero input values, in [0, 1], known as the firing rate of the layer's input."""
        return self.nonzero / self.values if self.values else 0.0

    @property
    def counts(self) -> LayerCounts:
        """Mean counts per sample."""
        dense, events = self.dense / self.samples, self.events / self.samples
        accumulations = self.accumulations / self.samples
        return LayerCounts(self.most, dense, events, accumulations, self.rate, self.largest, self.activity)

    @property
    def dense(self) -> int:
        """Number of multiply-accumulates of a dense computation."""
        # The bound is for all time-steps of a sample.
        return self.most.dense // self.most.steps * self.steps

    @property
    def activity(self) -> float:
        """Fraction of non-zero input values, weighted by the number of weights that they meet, in [0, 1]."""
        return self.events / self.connections if self.connections else 0.0


@dataclass
class MeasuredActivations:
    """Outputs of the neurons of a network, at all time-steps of all samples."""

    values: int = 0
    nonzero: int = 0

    @property
    def sparsity(self) -> float:
        """Fraction of zero outputs, in [0, 1]."""
        return 1 - self.nonzero / self.values if self.values else 0.0

    def see(self, _name: str, _inputs: Sequence[Tensor], y_TN: Tensor) -> None:
        """Count the outputs of a neuron."""
        self.values += y_TN.numel()
        self.nonzero += int(torch.count_nonzero(y_TN))


def measure_operations(
    model: SpikingNetwork, batches: Iterable[tuple[Tensor, Tensor]], activations: MeasuredActivations | None = None
) -> tuple[MeasuredOperations, ...]:
    """Count the operations of all layers with weights over all batches, in order, in the current mode of the network.

    The counts are exact, and correspond to the bounds of :func:`sewdsl.analysis.energy.operation_bounds`.

    Args:
        model: The network (see :func:`sewdsl.probe.block_rates` for its mode).
        batches: Inputs of the network, and classes, which are ignored.
        activations: If given, the outputs of neurons and other activations are counted as well.

    Raises:
        ValueError: If there is no batch, an input does not fit, or a dropout is in training mode, where it scales
            spikes.
    """
    network = model.network
    for name in active_dropouts(model):
        raise ValueError(f"{name} is in training mode and scales spikes; use sewdsl.probe.set_untrained_mode")
    operations_by_layer = {most.node.name: MeasuredOperations(most) for most in operation_bounds(network)}
    fan_outs = {name: [*_fan_outs(model, measured.most.node)] for name, measured in operations_by_layer.items()}
    static = False

    def count(name: str, inputs: Sequence[Tensor], _y_TN: Tensor) -> None:
        measured = operations_by_layer[name]
        # A static layer computes one time-step, even if its input has been expanded.
        once = static and not measured.most.node.output.varies
        _add(measured, [x_TN[:1] if once else x_TN for x_TN in inputs], fan_outs[name])

    outputs = activations if activations is not None else MeasuredActivations()
    neurons = [node.name for node in network if node.op.is_activation] if activations is not None else []
    with (
        torch.no_grad(),
        watch_nodes(model, operations_by_layer, count),
        watch_nodes(model, neurons, outputs.see),
    ):
        for x, _ in batches:
            static = is_static(x, network.settings)
            model(x)
    if any(not measured.samples for measured in operations_by_layer.values()):
        raise ValueError("cannot count operations without a batch")
    return tuple(operations_by_layer.values())


def _fan_outs(model: SpikingNetwork, node: Node) -> Iterator[dict[int, Tensor]]:
    """Yield the number of weights that the values of each input meet, by the time-steps until the output.

    They are ``[H, W]``, ``[1, 1]`` without positions, or those of all values for delays that differ.
    """
    network, module = model.network, model.get_submodule(node.name)
    for fan, x in zip(network.op_with_init(node).fan_outs(*network.inputs(node)), network.inputs(node), strict=True):
        if fan is None:
            yield {}
        elif isinstance(module, DelayedLinear):
            lags = range(module.reach)
            yield {lag: fan.outputs * (module.lag == lag).double().mean(0).reshape(x.shape).cpu() for lag in lags}
        else:
            weights = torch.tensor(fan.rows)[:, None] * torch.tensor(fan.columns) * fan.outputs
            yield dict.fromkeys(fan.lags, weights)


def _add(measured: MeasuredOperations, inputs: Sequence[Tensor], fan_outs: Sequence[Mapping[int, Tensor]]) -> None:
    """Add the operations of inputs ``[T, N, C, H, W]`` or ``[T, N, F]``."""
    T, N = inputs[0].shape[:2]
    measured.samples += N
    measured.steps += T * N
    for x_TN, fan_out in zip(inputs, fan_outs, strict=True):
        if not fan_out:
            continue
        measured.values += x_TN.numel()
        measured.nonzero += int(torch.count_nonzero(x_TN))
        measured.largest = max(measured.largest, float(x_TN.abs().amax()))
        for lag, weights in fan_out.items():
            # Outputs after the last time-step are not computed.
            met_TN = x_TN[: max(0, T - lag)]
            measured.connections += round(float((torch.full(x_TN.shape[2:], len(met_TN) * N) * weights).sum()))
            events = round(float((torch.count_nonzero(met_TN, (0, 1)).cpu() * weights).sum()))
            measured.events += events
            # A count of at most 1 is one spike, so both numbers are equal.
            if measured.most.upper > 1:
                # Sums in float64 are exact up to 2^53.
                sums = met_TN.abs().sum((0, 1), dtype=torch.float64).cpu().long()
                events = round(float((sums * weights).sum()))
            measured.accumulations += events
