"""Random networks are refused by name, or their C files compute what the reference and the floats do."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

import sewdsl
from sewdsl.exchange.write.c.run_file import differing_steps, find_compiler, run_reference
from sewdsl.integers.build import InputScaling, IntegerFormat, NoIntegerLaw, build_integer_network
from sewdsl.integers.steps.neuron import IntegerNeuron
from sewdsl.integers.steps.weighted import Convolution
from tests.effort import factor
from tests.exchange.c.batch import run_batch
from tests.integers.drawn import Recipe, recipe
from tests.integers.zoo import Case

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")

BATCH = 20
# Batch 11 has a convolution of zeros, batch 26 a channel that is constant but for rounding, batch 34 a delayed current
# that is rounded beyond its bound, batch 69 a convolution of sums between 0 and 255, and batch 96 a network that does
# not read its input.
BATCHES = range(100) if factor() > 1 else [0, 11, 26, 34, 69, 96]


@pytest.mark.parametrize("batch", BATCHES)
def test_c_is_the_reference(batch: int) -> None:
    recipes = [recipe(seed) for seed in range(BATCH * batch, BATCH * (batch + 1))]
    cases = [(each, this) for each in recipes if (this := case_or_refusal(each))]
    for (each, this), trace in zip(cases, run_batch([this for _, this in cases]), strict=True):
        # The reference raises an error if a value or a potential exceeds its bound.
        assert not differing_steps(this.network, trace, run_reference(this.network, this.n)), each
    assert len(cases) > BATCH / 4


def case_or_refusal(each: Recipe) -> Case | None:
    this = each.case()
    if isinstance(this, Case):
        return this
    assert isinstance(this, NoIntegerLaw)
    names = {node.name for node in each.model().network.nodes}
    assert this.node in names
    assert str(this).endswith(f" {this.node}: {this.reason}")
    return None


@pytest.mark.parametrize("batch", BATCHES)
def test_outputs_are_near_those_of_floats(batch: int) -> None:
    errors = []
    for seed in range(BATCH * batch, BATCH * (batch + 1)):
        this = recipe(seed)._replace(formats=IntegerFormat()).case()
        if not isinstance(this, Case):
            continue
        outputs, expected = outputs_in_both(this)
        errors.append(np.abs(outputs - expected).mean() / max(np.abs(expected).mean(), 1e-9))
    # Rounded weights change spikes of a few random networks, and their outputs entirely.
    assert np.median(errors) < 0.01
    assert np.mean(np.array(errors) < 0.1) >= 0.8


def outputs_in_both(this: Case) -> tuple[np.ndarray, np.ndarray]:
    """The outputs of integers and of floats."""
    network = this.network
    (integers,) = network.run(this.n).values()
    with torch.no_grad():
        floats = this.model(this.x).numpy() * (network.T if network.reduction == "mean" else 1)
    # C has channels last.
    return integers * network.readouts[0].unit, np.moveaxis(floats, 1, -1).reshape(integers.shape)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_potentials_of_16_bits_saturate(sign: float) -> None:
    options: dict[str, Any] = {"input": "4", "steps": 40, "neuron": "IF(v_reset=none)"}
    model = sewdsl.compile("FC4b0-SN-FC3", seed=0, **options).eval().double()
    with torch.no_grad():
        model.get_parameter("fc1.weight").copy_(sign * torch.diag(torch.tensor([0.3, 1.0, 30.0, 0.001])))
    network = build_integer_network(model, InputScaling(), IntegerFormat(state_bits=16))
    this = Case(model, network, np.full((40, 1, 1, 1, 4), 255))
    (neuron,) = (index for index, _ in network.neurons)
    seen: list[np.ndarray] = []
    network.run(this.n, lambda _t, index, value: seen.append(value) if index == len(network.steps) + neuron else None)
    step = network.steps[neuron]
    assert isinstance(step, IntegerNeuron)
    assert step.saturates
    # A soft reset subtracts the threshold from the limit.
    limit = 2**15 - 1 - step.dynamics.threshold if sign > 0 else np.full(4, -(2**15))
    assert (np.stack(seen) == limit).any()
    (trace,) = run_batch([this])
    assert not differing_steps(network, trace, run_reference(network, this.n))


@pytest.mark.parametrize("seed", range(8))
def test_sums_reach_their_bounds(seed: int) -> None:
    random = np.random.default_rng(seed)
    text = ("c6k3", "c4k3g2", "c5k1", "FC7", "c4k2p0-APk2", "c4k3x1s2-SUM(over=channels)")[seed % 6]
    model = sewdsl.compile(f"{text}-SN-FC3", input="4x5x5", steps=1, neuron="IF", seed=seed).eval().double()
    network = build_integer_network(model, InputScaling(high=int(random.integers(1, 256))))
    step = network.steps[1]
    assert isinstance(step, Convolution)
    low = high = 0
    for channel, sign in product(range(step.weights.shape[-1]), (1, -1)):
        # Inputs of the central window are largest where their weights have one sign.
        positive = step.weights[..., channel] * sign > 0
        size = positive.shape[-1]
        first = size * (channel * step.window.groups // step.weights.shape[-1])
        n = np.zeros((1, 1, 5, 5, 4), int)
        rows, columns = positive.shape[:2]
        top, left = (0, 0) if rows == 5 else (2 - step.window.padding[0], 2 - step.window.padding[1])
        n[0, 0, top : top + rows, left : left + columns, first : first + size] = positive * network.steps[0].value.high
        values: list[np.ndarray] = []
        network.run(n, lambda _t, index, value: values.append(value) if index == 1 else None)  # noqa: B023 -- called now
        low, high = min(low, int(values[0].min())), max(high, int(values[0].max()))
    assert (low, high) == (step.value.low, step.value.high)


def test_a_border_of_more_than_256_positions() -> None:
    options: dict[str, Any] = {"input": "1x300", "steps": 2, "neuron": "IF", "set": {"encode": "direct"}}
    model = sewdsl.compile("c2k299p149-SN-FC5", seed=0, **options).eval().double()
    network = build_integer_network(model, InputScaling.of_pixels([0.4], [0.3]))
    this = Case(model, network, np.random.default_rng(0).integers(0, 256, (2, 1, 300, 1)))
    (trace,) = run_batch([this])
    assert not differing_steps(network, trace, run_reference(network, this.n))


@pytest.mark.parametrize(
    "text",
    [
        "SN",
        "DP0.25",
        "MPk2",
        "FC3",
        "DELAY",
        "PAD1x2",
        "AMAX(over=places)",
        "c3k1b0-AMAX(over=places)-SN-FC3",
        "c3k1b0-PAD300x1-BN-SN-PAD2x1-c2k3-FC3",
    ],
)
def test_networks_of_one_layer(text: str) -> None:
    model = sewdsl.compile(text, input="1x2x2", steps=1, neuron="IF", seed=0).eval().double()
    try:
        network = build_integer_network(model)
    except NoIntegerLaw:
        assert text == "DELAY"
        return
    this = Case(model, network, np.random.default_rng(0).integers(0, 256, (1, 3, 2, 2, 1)))
    (trace,) = run_batch([this])
    assert not differing_steps(network, trace, run_reference(network, this.n))
