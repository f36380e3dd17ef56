"""The integers of a network as weights of its float64 module, whose spikes they equal."""

from __future__ import annotations

import numpy as np
import torch

from sewdsl.analysis.foldable_norms import foldable_norms
from sewdsl.integers.network import IntegerNetwork
from sewdsl.integers.steps.neuron import IntegerNeuron
from sewdsl.integers.steps.weighted import Convolution
from sewdsl.integers.value import IntegerValue
from sewdsl.ir.op import LinearNeuron
from sewdsl.lower import SpikingNetwork
from sewdsl.snn.batch_norm import BatchNorm


def load(model: SpikingNetwork, network: IntegerNetwork) -> SpikingNetwork:
    """Set the weights of a network with IF neurons, hard reset to 0 and an input without shift.

    A potential becomes an integer, and the threshold lies half-way between two integers, which rounding of float64
    cannot reach.
    """
    nodes = {node.name: index for index, node in enumerate(model.network)}
    hosts = foldable_norms(model.network)
    state = model.state_dict()
    for index, step in enumerate(network.steps):
        if not isinstance(step, Convolution):
            continue
        source = network.steps[step.inputs[0]].value
        reader = neuron_after(network, index)
        if reader is None:
            (readout,) = network.readouts
            scale = step.value.by_channel(step.value.factor / readout.unit)
            bias = readout.bias.astype(float)
        else:
            neuron, read = reader
            op = model.network.nodes[nodes[neuron.name]].op
            assert isinstance(op, LinearNeuron)
            threshold = op.v_threshold
            unit = threshold / (neuron.dynamics.threshold - 0.5)
            scale = neuron.dynamics.gain * unit * (step.value.factor / read.factor)
            bias = neuron.dynamics.drift.table * unit
        weights = step.weights * scale / np.broadcast_to(source.factor, source.shape[-1])[: step.weights.shape[2], None]
        shape = state[f"{step.name}.weight"].shape
        state[f"{step.name}.weight"] = torch.from_numpy(weights.transpose(3, 2, 0, 1).reshape(shape).copy())
        norms = [model.network.nodes[i].name for i, host in hosts.items() if host == nodes[step.name]]
        for name in norms:
            norm = model.get_submodule(name)
            assert isinstance(norm, BatchNorm)
            state[f"{name}.running_mean"] = torch.zeros_like(norm.running_mean)
            state[f"{name}.running_var"] = torch.full_like(norm.running_var, 1 - norm.eps)
            state[f"{name}.weight"] = torch.full_like(norm.weight, 1 / norm.scale)
            state[f"{name}.bias"] = torch.zeros_like(norm.bias)
        biased = f"{norms[-1] if norms else step.name}.bias"
        state[biased] = torch.from_numpy(np.broadcast_to(bias, step.weights.shape[-1]).copy())
    model.load_state_dict(state)
    return model.eval()


def neuron_after(network: IntegerNetwork, index: int) -> tuple[IntegerNeuron, IntegerValue] | None:
    """The neuron that reads the sums of a convolution, and what it reads."""
    for reader, step in enumerate(network.steps):
        if index in step.inputs:
            return (
                (step, network.steps[index].value) if isinstance(step, IntegerNeuron) else neuron_after(network, reader)
            )
    return None
