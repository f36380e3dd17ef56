"""Leaky neurons and soft resets in integers are neurons as equations whose numbers are integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import sewdsl
from sewdsl.integers.build import build_integer_network
from sewdsl.integers.network import IntegerNetwork
from sewdsl.integers.steps.neuron import IntegerNeuron
from sewdsl.integers.steps.weighted import Convolution
from sewdsl.lower import SpikingNetwork
from tests.effort import factor

BODY = "c8k3b1-{0}-c8k3b1-{0}-MPk2-FC20-{0}-FC5"
TEXT = """\
sewdsl 1
neuron Rounded(leak=0.5) {{
    learn threshold per channel = 1
    h = v - round(leak*v + {half}) + x
    s = fire(h - threshold)
    v = {reset}
    give s
}}
input 2x12x12
steps 6
readout sum
body {body}
"""
NEURONS = (
    "LIF(tau=2.0)",
    "LIF(tau=1.7, v_reset=none)",
    "PLIF(tau=3.0)",
    "DLIF(decay=0.25, v_reset=none)",
    "IF(v_reset=none)",
)
SAMPLES = 2000 if factor() > 1 else 12
"""Samples of each neuron, 10,000 of all in a deep run."""


@pytest.mark.usefixtures("plain_pytorch")
@pytest.mark.parametrize("neuron", NEURONS)
def test_integers_are_the_float64_network(neuron: str) -> None:
    options: dict[str, Any] = {"input": "2x12x12", "steps": 6, "neuron": neuron, "readout": "sum"}
    model = sewdsl.compile(BODY.format("SN"), seed=1, **options).double().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(".weight"):
                weight.mul_(7)
    network = build_integer_network(model)
    twin = rounded_twin(network)
    n = np.random.default_rng(0).poisson(0.4, (6, SAMPLES, 12, 12, 2))
    neurons = [(index, step) for index, step in network.neurons]
    fired: dict[int, list[np.ndarray]] = {index: [] for index, _ in neurons}
    (outputs,) = network.run(n, lambda _t, i, value: fired[i].append(value) if i in fired else None).values()
    layers: list[np.ndarray] = []
    names = [node.name for node in twin.network if node.op.kind == "Rounded"]
    for name in names:
        twin.get_submodule(name).register_forward_hook(lambda _m, _x, y: layers.append(y.numpy()))
    with torch.no_grad():
        floats = twin(torch.from_numpy(np.moveaxis(n, -1, 2).astype(float).copy())).numpy()
    assert np.array_equal(floats, outputs)
    for (index, step), layer in zip(neurons, layers, strict=True):
        height, width, channels = step.value.shape
        expected = np.moveaxis(layer.reshape(6, SAMPLES, channels, height, width), 2, -1)
        assert np.array_equal(np.stack(fired[index]), expected)
        assert expected.any()


def rounded_twin(network: IntegerNetwork) -> SpikingNetwork:
    """A module in float64 that computes with the integers of a network."""
    neurons = [step for _, step in network.neurons if isinstance(step, IntegerNeuron)]
    first = neurons[0].dynamics
    reset = "h - s*threshold" if first.soft else "(1 - s)*h"
    body = BODY.format(f"Rounded(leak={first.leak / 2**15!r})")
    # Multiples of 2^-15 plus 2^-17 are rounded half up.
    twin = sewdsl.compile(TEXT.format(half=2.0**-17, reset=reset, body=body)).double().eval()
    state = twin.state_dict()
    thresholds = [f"{node.name}.threshold" for node in twin.network if node.op.kind == "Rounded"]
    convolutions = [step for step in network.steps if isinstance(step, Convolution)]
    for convolution, name, neuron in zip(convolutions, [*thresholds, ""], [*neurons, None], strict=True):
        gain = 1 if neuron is None else neuron.dynamics.gain
        bias = network.readouts[0].bias if neuron is None else neuron.dynamics.drift.table
        weights = convolution.weights.astype(float) * gain
        key = f"{convolution.name}.weight"
        state[key] = torch.from_numpy(weights.transpose(3, 2, 0, 1).reshape(state[key].shape).copy())
        state[f"{convolution.name}.bias"] = torch.from_numpy(bias.astype(float))
        if neuron is not None:
            state[name] = torch.from_numpy(neuron.dynamics.threshold.astype(float))
    twin.load_state_dict(state)
    return twin
