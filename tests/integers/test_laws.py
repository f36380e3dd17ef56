"""Networks in integers compute what their float networks do, within proven bounds."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch

import sewdsl
from sewdsl.exchange.write.c.write_file import write_c
from sewdsl.integers.build import InputScaling, IntegerFormat, NoIntegerLaw, build_integer_network
from sewdsl.integers.steps.equations import INSTRUCTIONS, LIMIT, EquationStep, Instruction, Instructions
from sewdsl.integers.steps.functions import PAIRS
from sewdsl.integers.steps.neuron import LARGEST_POTENTIAL, Drift, Dynamics, IntegerNeuron
from sewdsl.integers.steps.step import DelayStep
from sewdsl.lower import SpikingNetwork
from sewdsl.ops.layers.conv import Conv, TransposedConv
from sewdsl.ops.layers.linear import Linear
from tests.effort import factor
from tests.integers import twin
from tests.integers.zoo import EQUATIONS, NETWORKS, NEURONS, Case, case, trained

TWINS = (
    "sums of spikes, pools",
    "and",
    "iand",
    "or",
    "bottlenecks",
    "groups, dilation, rectangles",
    "gates of tokens",
    "concatenation, maximum",
    "three operands",
    "rows",
    "vectors, dropout",
)
"""Networks whose values all have one unit, so that integers are exact."""


def spikes(model: SpikingNetwork, this: Case) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The spikes of each neuron layer, ``[T, N, H, W, C]``, and the output."""
    layers: dict[str, np.ndarray] = {}
    names = [step.name for _, step in this.network.neurons]
    hooks = [
        model.get_submodule(name).register_forward_hook(lambda _m, _x, y, name=name: layers.update({name: y.numpy()}))
        for name in names
    ]
    with torch.no_grad():
        output = model(this.x).numpy()
    for hook in hooks:
        hook.remove()
    shapes = {step.name: step.value.shape for _, step in this.network.neurons}
    return {
        name: np.moveaxis(y.reshape(*y.shape[:2], shapes[name][-1], *shapes[name][:2]), 2, -1)
        for name, y in layers.items()
    }, output


CHUNKS = 20 if factor() > 1 else 0
"""Inputs of 500 samples to compare in addition: 10,000 samples of each network in a deep run."""


@pytest.mark.usefixtures("plain_pytorch")
@pytest.mark.parametrize("name", TWINS)
def test_integers_are_the_float64_network(name: str) -> None:
    this = case(name, 1, neuron="IF")
    model = twin.load(this.model, this.network)
    compare_with_twin(model, this)
    for seed in range(CHUNKS):
        shape = this.network.T, 500, *this.network.steps[0].value.shape
        compare_with_twin(model, this._replace(n=np.random.default_rng(seed).poisson(0.4, shape)))


def compare_with_twin(model: SpikingNetwork, this: Case) -> None:
    """Compare all spikes and outputs of a network with those of its float64 module."""
    fired: dict[str, list[np.ndarray]] = {}
    indices = {index: step.name for index, step in this.network.neurons}

    def watch(_t: int, index: int, value: np.ndarray) -> None:
        if index in indices:
            fired.setdefault(indices[index], []).append(value)

    (outputs,) = this.network.run(this.n, watch).values()
    layers, output = spikes(model, this)
    assert {name: np.array_equal(np.stack(fired[name]), layer) for name, layer in layers.items()} == dict.fromkeys(
        layers, True
    )
    assert np.array_equal(outputs, np.round(output))
    assert any(layer.any() for layer in layers.values())


@pytest.mark.parametrize("variant", [0, 1, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_are_near_those_of_floats(name: str, variant: int) -> None:
    this = case(name, variant)
    (outputs,) = this.network.run(this.n).values()
    with torch.no_grad():
        expected = this.model(this.x).numpy() * (this.network.T if this.network.reduction == "mean" else 1)
    assert expected.any()
    error = np.abs(outputs * this.network.readouts[0].unit - expected).mean()
    # A rounded weight can change spikes of a random network.
    assert error <= 0.6 * np.abs(expected).mean()


def test_bounds_of_potentials_are_reached() -> None:
    model = sewdsl.compile("FC3b0-SN", neuron="DLIF(decay=0.5, v_reset=none)", input="4", steps=3, seed=0).eval()
    with torch.no_grad():
        model.get_parameter("fc1.weight").copy_(torch.tensor([[-1.0] * 4, [1.0] * 4, [0.5, -0.5, 0.25, 0]]))
    network = build_integer_network(model, InputScaling(high=15))
    (neuron,) = (step for step in network.steps if isinstance(step, IntegerNeuron))
    low = high = 0

    def watch(_t: int, index: int, value: np.ndarray) -> None:
        nonlocal low, high
        if index == len(network.steps) + network.steps.index(neuron):
            low, high = min(low, int(value.min())), max(high, int(value.max()))

    network.run(np.full((3, 1, 1, 1, 4), 15), watch)
    # The bound includes potentials before the reset. The negative ones are never reset.
    assert -low == neuron.bound
    assert high < neuron.bound


def test_bounds_of_sums_over_time_waste_no_bits() -> None:
    """A sum of 30 currents is delayed in the unit that its bound requires."""
    model = sewdsl.compile("FC4b0-LOOP[id | id]-SN-FC3", neuron="IF", input="4", steps=30, seed=0).eval()
    network = build_integer_network(model, InputScaling(high=15))
    (delay,) = (step for step in network.steps if isinstance(step, DelayStep))
    current = 15 * float(model.get_parameter("fc1.weight").detach().abs().sum(1).max())
    assert 25 * current < delay.value.factor * delay.value.high < 35 * current


VECTORS = "sewdsl 1\nneuron N {\n    state a[2] = 0\n    a = 0.5*a + x\n    give fire(sum(a) - 1)\n}"


@pytest.mark.parametrize(
    ("text", "settings", "reason"),
    [
        ("c8k3-BN-PSN-FC5", {}, "psn1: PSN reads all time-steps"),
        ("c8k3-LN-SN-FC5", {}, "layer_norm1: LN"),
        ("c8k3-BN-GELU-FC5", {}, ":1:9: gelu1: GELU cannot be computed"),
        ("c8k3-BN-MAP{x*x}-FC5", {}, "map1: MAP{x*x} multiplies two potentials"),
        ("FC12-LOOP[id | id]-SN-FC5", {"input": "8", "steps": 60}, "delay1: DELAY adds up currents over 60 time-steps"),
        ("FC12-LOOP[id | SCALE(value=0.9)]-SN-FC5", {"input": "8", "steps": 60}, ""),
        ("FC12-SN-FC5", {"input": "8", "steps": 10**6}, "fc2: FC adds 12 products at each of 1,000,000 time-steps"),
        ("FC12-SN-FC5", {"input": "8", "steps": 10**6, "readout": "last"}, ""),
        ("FC12-CUBA-FC5", {"input": "8", "steps": 10**6, "readout": "last"}, ""),
        (
            "FC12-LOOP[id | SCALE(value=1000)]-SN-FC5",
            {"input": "8", "steps": 2},
            "delay1: DELAY is in a loop that makes currents 1,0",
        ),
        (
            "FC12-LOOP[id | SCALE(value=10)]-SN-FC5",
            {"input": "8", "steps": 8},
            "delay1: DELAY is in a loop that makes currents 111,",
        ),
        ("c8k3-BN-ReLU-FC5", {}, "relu1: ReLU reads currents, whose ranges must be measured"),
        ("c8k3-BN-PReLU-FC5", {}, "prelu1: PReLU reads currents, which it would multiply by a slope"),
        ("c8k3-BN-SN-UP2(mode=bilinear)-FC5", {}, "interpolates"),
        ("c8k3-BN-SN-SUM(over=time)-SN-FC5", {}, "reads all time-steps"),
        ("ATTN(chunk=2)[c8k3-SN | c8k3-SN | c8k3-SN]", {}, "attn1: ATTN has chunks or leaves out keys"),
        ("ATTN(causal=places)[c8k3-SN | c8k3-SN | c8k3-SN]", {}, "attn1: ATTN has chunks or leaves out keys"),
        ("c8k3-BN-SN-Slice(stop=1, over=time)-SN-FC5", {}, "reads all time-steps"),
        ("c8k3-BN-SN-PAD(p=1, mode=reflect)-FC5", {}, "pad1: PAD reflects values"),
        ("c8k3-BN-SN-tc4k2p3s9-SN-FC5", {}, "crops more positions than its kernel adds"),
        ("MAX[c8k3-BN | c8k3-BN]-SN-FC5", {}, "max1: MAX compares values with different units"),
        ("ATTN[c8k3-BN | c8k3-SN | c8k3-SN]-SN-FC5", {}, "attn1: ATTN reads currents; add SN to its operands"),
        ("ATTN[c8k3-Ternary | c8k3-SN | c8k3-SN]-SN-FC5", {}, "attn1: ATTN reads currents; add SN to its operands"),
        ("c8k3-BN-SN-tc4k2x5p3x1s9-SN-FC5", {}, "crops more positions than its kernel adds"),
        ("c8k3-MAP{1/(x+2)}-FC5", {}, "map1: MAP{1/(x + 2)} computes div of a potential"),
        ("c8k3-MAP{round(clip(x, -9, 9))}-FC5", {}, "rounds values from -9 to 9; clip them to at most 16 levels"),
        (f"{VECTORS}\nbody c8k3-N-FC5", {}, "n1: N has vectors as states, and integer neurons have numbers"),
        ("c8k3-BN-SN", {}, ""),
        ("c8k3-BN-SN-BN", {}, ""),
    ],
)
def test_refusals_name_the_layer(text: str, settings: dict[str, str], reason: str) -> None:
    options: dict[str, Any] = {"input": "2x8x8", "steps": 2, "neuron": "IF", **settings}
    model = sewdsl.compile(text, **options).eval()
    if not reason:
        build_integer_network(model)
        return
    with pytest.raises(NoIntegerLaw) as refused:
        build_integer_network(model)
    assert reason in str(refused.value)


def test_outputs_of_many_time_steps_with_a_channel_of_zeros() -> None:
    options: dict[str, Any] = {"input": "4", "steps": 25, "neuron": "IF"}
    model = trained(sewdsl.compile("FC300-SN-FC5-TEBN", seed=0, **options), 0)
    network = build_integer_network(model)
    n = np.random.default_rng(0).poisson(1.0, (25, 6, 1, 1, 4))
    (outputs,) = network.run(n).values()
    with torch.no_grad():
        expected = 25 * model(torch.from_numpy(n[:, :, 0, 0]).double()).numpy()
    assert np.abs(outputs * network.readouts[0].unit - expected).max() <= 0.05 * np.abs(expected).max()


def test_networks_without_layers_are_refused() -> None:
    with pytest.raises(NoIntegerLaw, match="network has no layers"):
        build_integer_network(sewdsl.compile("id", input="6", steps=2, neuron="IF"))


@pytest.mark.parametrize("shift", [1e3, [0.0, 0, 1e3, 0], [0.0, 0, -1e3, 0]])
def test_sums_of_outputs_beyond_32_bits_are_refused(shift: float | list[float]) -> None:
    model = sewdsl.compile("DP0.25", input="4", steps=3, set={"readout": "sum"}, seed=0).eval()
    with pytest.raises(NoIntegerLaw, match="the outputs can reach 3,000,000,765"):
        build_integer_network(model, InputScaling(255, np.float64(1e-6), np.array(shift, np.float64)))


def test_networks_without_potentials_ignore_their_bits() -> None:
    model = trained(sewdsl.compile("c8k3-BN-ReLU-c8k3-BN-ReLU-GAP-FC5", input="2x8x8", steps=1, seed=0), 0)
    files = [
        write_c(build_integer_network(model, formats=IntegerFormat(state_bits=bits), ranges={})) for bits in (16, 32)
    ]
    assert files[0] == files[1]


def test_growing_states_beyond_32_bits_are_refused() -> None:
    neuron = "neuron N {\n    state u = 1\n    u = 2*u + x\n    give fire(u - 1000)\n}"
    model = sewdsl.compile(f"sewdsl 1\ninput 4\nsteps 64\n{neuron}\nbody FC4-N-FC3\n", seed=0).eval()
    with pytest.raises(NoIntegerLaw, match=r"n1: N can reach a potential of .* units, which exceeds 32 bits"):
        build_integer_network(model)


def test_resets_beyond_16_bits_are_refused() -> None:
    model = sewdsl.compile("FC2b0-IF(v_reset=-30.0)", input="4", steps=3, seed=0).eval().double()
    with torch.no_grad():
        model.get_parameter("fc1.weight").copy_(torch.tensor([[1000.0], [0.1]]).expand(2, 4))
    build_integer_network(model)
    with pytest.raises(NoIntegerLaw, match="exceeds 16 bits; use '--state 32'"):
        build_integer_network(model, formats=IntegerFormat(state_bits=16))


@pytest.mark.parametrize(
    "text",
    [
        *("c8k3-BN-SN-ADD[c8k3-BN | id]-SN-FC5", "c8k3-BN-APk2-SN-FC5", "c8k3-BN-MPk2-c8k3-BN-SN-FC5"),
        *("c8k3-BN-ReLU-c8k3-BN-SN-FC5", "c8k3-BN-SN-FC12-FC5", "c8k3-BN-SN-DELAY-MS Block (c8)-SN-FC5"),
    ],
)
def test_currents_in_potentials_of_16_bits(text: str) -> None:
    options: dict[str, Any] = {"input": "2x4x4", "steps": 2, "set": {"readout": "sum"}, "neuron": "IF"}
    model = trained(sewdsl.compile(text, seed=0, **options), 0)
    n = np.random.default_rng(0).integers(0, 4, (2, 20, 4, 4, 2))
    networks = [build_integer_network(model, InputScaling(3), IntegerFormat(state_bits=bits), {}) for bits in (16, 32)]
    outputs, expected = (each.run(n)[""] * each.readouts[0].unit for each in networks)
    assert np.abs(outputs - expected).mean() < 0.02 * np.abs(expected).mean()


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e6])
def test_odd_weights(scale: float) -> None:
    model = sewdsl.compile("c4k3-SN-FC5", neuron="LIF", input="2x5x5", steps=1, seed=0, set={"encode": "direct"}).eval()
    with torch.no_grad():
        model.get_parameter("conv1.weight").mul_(scale)
    network = build_integer_network(model, InputScaling.of_pixels([0.5], [0.5]))
    n = np.full((1, 5, 5, 2), 255)
    (outputs,) = network.run(n).values()
    with torch.no_grad():
        expected = model(torch.ones(1, 2, 5, 5)).numpy()
    assert np.allclose(outputs * network.readouts[0].unit, expected, atol=0.02 * np.abs(expected).max() + 1e-6)


def assert_near_floats(model: SpikingNetwork) -> None:
    """Compare the outputs for random counts ``[2, 6, 6]`` of four time-steps."""
    network = build_integer_network(model)
    n = np.random.default_rng(0).poisson(0.4, (4, 6, 6, 6, 2))
    (outputs,) = network.run(n).values()
    with torch.no_grad():
        expected = model(torch.from_numpy(np.moveaxis(n, -1, 2).astype(float).copy())).numpy() * 4
    assert np.abs(outputs * network.readouts[0].unit - expected).mean() <= 0.1 * np.abs(expected).mean()


def put_on_grid(model: SpikingNetwork) -> None:
    """Set weights to integers of 8 bits in the unit of each output, so that they are not rounded."""
    random = np.random.default_rng(0)
    with torch.no_grad():
        for node in model.network.nodes:
            if isinstance(node.op, Conv | TransposedConv | Linear):
                weight = model.get_parameter(f"{node.name}.weight")
                integers = random.integers(-127, 128, tuple(weight.shape))
                integers.reshape(len(integers), -1)[:, 0] = 127
                weight.copy_(torch.from_numpy(integers / 127))


@pytest.mark.usefixtures("plain_pytorch")
@pytest.mark.parametrize("neuron", [*NEURONS, *EQUATIONS, "GLIF", "ILIF(D=2)", "KLIF(v_reset=-0.3)"])
def test_neurons_fire_as_in_floats(neuron: str) -> None:
    assert_neurons_fire_as_in_floats(f"FC16-{neuron}")


FORMULAS = (
    *(("-x", "s"), ("abs(x)", "s"), ("relu(x)", "s"), ("x / 3", "s"), ("min(x, 0.7)", "s"), ("max(x, v)", "s")),
    *(("clip(x, -0.3, 0.7)", "s"), ("where(x > 0.5, x, 0.5)", "s"), ("where(x <= 0.5, 0.6, 0.5 * v)", "s")),
    *(("abs(x) / 3", "s"), ("abs(x) + 0.25 * v", "s"), ("0.7 * abs(x) - 0.1", "s")),
    *(("x", "0.5 * s"), ("x", "s - fire(-h - v_threshold)"), ("x", "round(clip(h, 0, 3))")),
    *(("x", "abs(round(clip(h, -2, 2)))"), ("x", "where(x > 0, s, 1)")),
    *(("x - 0.25 * v", "s"), ("x", "-s"), ("where(x > 1, -x, x)", "s"), ("x", "relu(s)"), ("x", "min(s, x > 1)")),
    *(("x", "max(s, 0.5 * fire(x - 1))"), ("0.3 * x - 0.1 * x", "s - 0.5 * s"), ("x", "2 * fire(1 - h) - s")),
    *(
        ("floor(clip(x, 0, 3))", "s"),
        ("ceil(clip(x, -2, 2))", "s"),
        ("x", "floor(clip(h, -1, 4))"),
        ("x", "ceil(h < 1)"),
    ),
)


@pytest.mark.usefixtures("plain_pytorch")
@pytest.mark.parametrize(("term", "output"), FORMULAS)
def test_formulas_are_those_of_floats(term: str, output: str) -> None:
    assert_neurons_fire_as_in_floats(neuron_of(term, output))


FIRE_AND_RESET = "s = fire(h - v_threshold)\nv = reset(h, s)\ngive s"
NEURONS_AS_EQUATIONS = {
    "a counter": "state n = 0\nv = 0.5*v + x - 0.125*n\ns = fire(v - 1)\nv = v - s\nn = n + s\ngive s",
    "division by a learned number": "learn tau = 3\nv = v + (x - v)/tau\ns = fire(v - 1)\nv = v - s\ngive s",
    "a factor of spikes": "give 0.5*fire(x - 1)",
    "a growing potential": f"h = 1.5*v + x\n{FIRE_AND_RESET}",
    "a decay of each channel": f"learn decay per channel = 0.5\nh = decay*v + x\n{FIRE_AND_RESET}",
    "a detached input": f"h = 0.5*v + 0.5*detach(x) + 0.25*x\n{FIRE_AND_RESET}",
    "the smaller of two spikes": "state u = 0\nu = 0.5*u + x\ngive min(fire(x - 0.3), fire(u - 1))",
}


@pytest.mark.usefixtures("plain_pytorch")
@pytest.mark.parametrize("name", NEURONS_AS_EQUATIONS)
def test_equations_are_those_of_floats(name: str) -> None:
    assert_neurons_fire_as_in_floats(f"sewdsl 1\nneuron New {{\n{NEURONS_AS_EQUATIONS[name]}\n}}\nbody FC16-New\n")


def test_counts_of_more_than_16_are_refused() -> None:
    for largest in (16, 17):
        model = sewdsl.compile(neuron_of("x", f"round(clip(h, 0, {largest}))"), input="6", steps=8, seed=0).eval()
        if largest == 16:
            build_integer_network(model)
        else:
            with pytest.raises(NoIntegerLaw, match="rounds values from 0 to 17; clip them to at most 16 levels"):
                build_integer_network(model)


def neuron_of(term: str, output: str) -> str:
    lines = f"h = 0.5*v + ({term})\ns = fire(h - v_threshold)\nv = reset(h, s)\ngive {output}\n"
    return f"sewdsl 1\nneuron New {{\n{lines}}}\nbody FC16-New\n"


def assert_neurons_fire_as_in_floats(text: str) -> None:
    model = sewdsl.compile(text, input="6", steps=8, set={"readout": "sum"}, seed=0).eval().double()
    put_on_grid(model)
    random = np.random.default_rng(0)
    with torch.no_grad():
        model.get_parameter("fc1.weight").mul_(torch.from_numpy(2.0 ** random.integers(-2, 2, (16, 1))))
        model.get_parameter("fc1.bias").copy_(torch.from_numpy(random.normal(0, 0.2, 16)))
        for name, parameter in model.named_parameters():
            if not name.startswith("fc1") and parameter.ndim:
                parameter.add_(torch.from_numpy(random.uniform(0, 0.1, tuple(parameter.shape))))
    network = build_integer_network(model)
    n = random.poisson(0.5, (8, 100, 1, 1, 6))
    (outputs,) = network.run(n).values()
    with torch.no_grad():
        expected = model(torch.from_numpy(n.reshape(8, 100, 6).astype(float))).numpy()
    differences = np.abs(outputs * network.readouts[0].unit - expected)
    assert expected.any()
    # The output of Rate is a real number.
    assert (differences > 0.05).mean() < 0.001


PADDED = "c3k3", "PAD1-c3k1", "APk3s2p1-c3k1", "MPk3s2p1-c3k1", "tc4k3s2"
"""Layers that add zeros around or between values, which their range then includes."""
LINEAR = (
    *("BN", "TEBN", "BNTT", "TAB", "MEAN(over=places)", "MEAN(over=channels)", "SUM(over=channels, groups=2)"),
    *("APk3s2p1", "APk2s1", "GAP-FC5", "Flatten-FC5", "UP2", "c6k3s2g2", "c6k3x1d2p2x0b1", "tc4k3s2", "tc6k2s2g2-APk2"),
    *("tc4k3p2", "tc4k3x5s2p1x2"),
    *("ADD[c4k3 | SCALE(value=-0.5)]", "CAT[c4k1b1 | id]-c5k1", "DELAY-FC3", "c4k1-DELAY-FC3", "Swap-FC3"),
    *("LOOP[id | SCALE(value=0.5)]-FC3", "Slice(start=1, stop=3)", "Slice(start=2, over=places)-FC3", "PAD1-c3k3p0"),
    *("SCALE(value=-0.5)-MPk2-c3k1", "Flatten-Reshape(3x4x5)", "c4k3-ReLU-c3k1"),
    *("SCALE(value=0.5)-ReLU-c3k1", "SCALE(value=-0.5)-ReLU-c3k1", "SCALE(value=0.001)-DELAY-FC3b0"),
    *(f"MAP{{round(clip(x, {range_}))}}-{layer}" for range_ in ("1, 3", "-3, -1") for layer in PADDED),
)


@pytest.mark.parametrize("pixels", [False, True])
@pytest.mark.parametrize("text", LINEAR)
def test_layers_without_neurons_are_nearly_exact(text: str, *, pixels: bool) -> None:
    assert_nearly_exact(text, pixels=pixels)


@pytest.mark.parametrize("text", ["c4k3s2", "tc4k3s2p1", "tc4k3s3b0", "APk3s2p1", "MPk3s2p1", "UP2", "PAD1-c3k1"])
def test_layers_of_rows_are_nearly_exact(text: str) -> None:
    assert_nearly_exact(text, shape=(4, 6))


@pytest.mark.parametrize("text", ["TEBN", "BNTT", "TAB"])
def test_norms_of_two_time_steps_are_nearly_exact(text: str) -> None:
    assert_nearly_exact(text, steps=2)


def assert_nearly_exact(text: str, *, shape: tuple[int, ...] = (4, 3, 5), steps: int = 3, pixels: bool = False) -> None:
    encoding = "direct" if pixels else "none"
    size = "x".join(map(str, shape))
    options: dict[str, Any] = {"input": size, "steps": steps, "set": {"encode": encoding, "readout": "sum"}}
    model = trained(sewdsl.compile(f"{text}-Flatten", seed=0, **options), 0)
    put_on_grid(model)
    scaling = InputScaling.of_pixels([0.4], [0.3]) if pixels else None
    network = build_integer_network(model, scaling, ranges={})
    n = np.random.default_rng(0).integers(0, 256, (*(() if pixels else (steps,)), 6, *network.steps[0].value.shape))
    x = np.moveaxis(n, -1, -3).reshape(*n.shape[:-3], *shape).astype(float)
    (outputs,) = network.run(n).values()
    with torch.no_grad():
        expected = model(torch.from_numpy(((x / 255 - 0.4) / 0.3 if pixels else x).copy())).numpy()
    assert np.abs(outputs * network.readouts[0].unit - expected).max() < 0.006 * np.abs(expected).max()


@pytest.mark.parametrize("layer", ["MPk2", "APk2", "UP2", "PAD1"])
def test_channels_of_different_sizes_keep_their_bits(layer: str) -> None:
    model = (
        sewdsl.compile(f"c4k1b0-{layer}-c3k1-Flatten", input="4x4x4", steps=2, set={"readout": "sum"}, seed=0)
        .eval()
        .double()
    )
    sizes = torch.tensor([1, 0.3, 0.1, 0.03])
    with torch.no_grad():
        model.get_parameter("conv1.weight").mul_(sizes[:, None, None, None])
        (*_, last) = (node.name for node in model.network.nodes if isinstance(node.op, Conv))
        model.get_parameter(f"{last}.weight")[:, :4].div_(sizes[:, None, None])
    network = build_integer_network(model, ranges={})
    n = np.random.default_rng(0).integers(0, 256, (2, 6, 4, 4, 4))
    (outputs,) = network.run(n).values()
    with torch.no_grad():
        expected = model(torch.from_numpy(np.moveaxis(n, -1, 2).astype(float).copy())).numpy()
    assert np.abs(outputs * network.readouts[0].unit - expected).max() < 0.05 * np.abs(expected).max()


def test_channels_without_weights() -> None:
    """A norm with weight 0 changes neither the units of other channels nor its own drift."""
    options: dict[str, Any] = {"input": "2x6x6", "steps": 4, "neuron": "IF"}
    model = sewdsl.compile("c4k3-BN-SN-ADD[c4k3 | id]-BN-ADD[id | id]-c4k3-SN-FC5", seed=0, **options).eval().double()
    with torch.no_grad():
        for name in ("bn1", "bn2"):
            model.get_parameter(f"{name}.weight")[1] = 0
            model.get_parameter(f"{name}.bias")[1] = 0.3
    assert_near_floats(model)


@pytest.mark.parametrize("size", [0.0, 1e-7])
def test_weights_of_nearly_constant_channels(size: float) -> None:
    options: dict[str, Any] = {"input": "2x4x4", "steps": 2, "set": {"readout": "sum"}}
    model = sewdsl.compile("c4k1b1-c3k1b1-Flatten", seed=0, **options).eval().double()
    with torch.no_grad():
        model.get_parameter("conv1.weight").mul_(size)
    assert_outputs_are_near_floats(model)


@pytest.mark.parametrize("text", ["CAT[c4k3-BN-SN | c4k3-BN-MPk3s1p1]-c5k1-Flatten", "CAT[c4k3-SN | c4k1]-FC5"])
def test_currents_next_to_spikes_keep_their_bits(text: str) -> None:
    options: dict[str, Any] = {"input": "2x4x4", "steps": 2, "set": {"readout": "sum"}, "neuron": "IF"}
    assert_outputs_are_near_floats(sewdsl.compile(text, seed=0, **options).eval().double())


def assert_outputs_are_near_floats(model: Any) -> None:
    network = build_integer_network(model, InputScaling(3))
    n = np.random.default_rng(0).integers(0, 4, (2, 6, 4, 4, 2))
    (outputs,) = network.run(n).values()
    with torch.no_grad():
        expected = model(torch.from_numpy(np.moveaxis(n, -1, 2).astype(float).copy())).numpy()
    assert np.abs(outputs * network.readouts[0].unit - expected).mean() < 0.01 * np.abs(expected).mean()


def test_biases_without_weights() -> None:
    model = sewdsl.compile("FC3", input="4", steps=5, seed=0).eval().double()
    with torch.no_grad():
        model.get_parameter("fc1.weight").zero_()
        model.get_parameter("fc1.bias")[1] = 0
    network = build_integer_network(model)
    (outputs,) = network.run(np.ones((5, 1, 1, 1, 4), int)).values()
    expected = model.get_parameter("fc1.bias").detach().numpy() * 5
    assert np.allclose(outputs * network.readouts[0].unit, expected, rtol=1e-6)


def test_upsampled_borders() -> None:
    options: dict[str, Any] = {"input": "2x6x6", "steps": 2, "neuron": "IF", "set": {"encode": "direct"}}
    model = sewdsl.compile("c4k3-UP2-SN-FC5", seed=0, **options).eval().double()
    network = build_integer_network(model, InputScaling.of_pixels([0.4], [0.3]))
    n = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 2))
    (outputs,) = network.run(n).values()
    with torch.no_grad():
        expected = model(torch.from_numpy(np.moveaxis((n / 255 - 0.4) / 0.3, -1, 1).copy())).numpy() * 2
    assert np.abs(outputs * network.readouts[0].unit - expected).mean() <= 0.1 * np.abs(expected).mean()


def test_outputs_beyond_32_bits_get_a_coarser_unit() -> None:
    model = sewdsl.compile("FC3", input="400", steps=1000, seed=0).eval().double()
    with torch.no_grad():
        model.get_parameter("fc1.weight").fill_(1.0)
    network = build_integer_network(model)
    (outputs,) = network.run(np.full((1000, 1, 1, 1, 400), 255)).values()
    assert np.abs(outputs).max() < 2**31
    assert np.allclose(outputs * network.readouts[0].unit, 400 * 255 * 1000, rtol=1e-4)


@pytest.mark.parametrize("neuron", ["IF", "PLIFC(tau=3.0)", "ALIF", "ILIF(D=4)", "LTH"])
@pytest.mark.parametrize("gamma", [0.0, 1e-12, -1e-6])
def test_channels_with_small_weights(neuron: str, gamma: float) -> None:
    options: dict[str, Any] = {"input": "2x6x6", "steps": 4, "neuron": neuron}
    model = sewdsl.compile("c4k3-MPk2-BN-SN-FC5", seed=0, **options).eval().double()
    with torch.no_grad():
        model.get_parameter("bn1.weight")[1] = gamma
        model.get_parameter("bn1.bias").fill_(0.4)
    assert_near_floats(model)


def test_a_drift_that_cancels_its_input() -> None:
    options: dict[str, Any] = {"input": "2x6x6", "steps": 4, "neuron": "IF", "set": {"encode": "direct"}}
    model = sewdsl.compile("c4k3-MPk2-BN-SN-FC5", seed=0, **options).eval().double()
    with torch.no_grad():
        model.get_parameter("conv1.bias").fill_(2000.0)
        model.get_submodule("bn1").running_mean.fill_(2000.0)  # type: ignore[operator]
        model.get_parameter("bn1.weight").mul_(-1)
    network = build_integer_network(model, InputScaling.of_pixels([0.4], [0.3]))
    for _, step in network.neurons:
        assert isinstance(step, IntegerNeuron)
        terms = np.abs(step.dynamics.gain).max() * network.steps[step.inputs[0]].value.magnitude
        assert max(terms, np.abs(step.dynamics.drift.table).max()) < LARGEST_POTENTIAL


def test_bounds_of_leaky_neurons_need_few_time_steps() -> None:
    """Bounds that do not change any more are not computed for each time-step."""
    gain, drift, threshold, reset = (np.array(pair) for pair in ((3, -5), (1, 2), (800, 900), (0, 0)))
    dynamics = Dynamics(gain, Drift(drift), threshold, reset, leak=1 << 13, soft=False)
    assert dynamics.bound(-200, 300, 10**8) == dynamics.bound(-200, 300, 1000) > dynamics.bound(-200, 300, 2)


@pytest.mark.parametrize("leak", [0, 1 << 14])
@pytest.mark.parametrize(
    ("reset", "soft"), [((0, 0), False), ((-2, 0), False), ((3, 0), False), ((0, -200), False), ((0, 0), True)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_bounds_are_those_of_all_potentials(sign: int, reset: tuple[int, int], leak: int, *, soft: bool) -> None:
    constants = [np.array(pair) for pair in ((sign, 0), (sign, 5), (6, 10 if any(reset) or soft else 40), reset)]
    low, high = -1, 9

    def dynamics(channels: slice) -> Dynamics:
        gain, drift, threshold, resets = (each[channels] for each in constants)
        return Dynamics(gain, Drift(drift), threshold, resets, leak, soft)

    largest = max(int(constants[2].max()), int(np.abs(constants[3]).max()))
    for channel in range(2):
        one = dynamics(slice(channel, channel + 1))
        potentials = one.reset
        for _ in range(4):
            charged = one.charge(np.arange(low, high + 1)[:, None], potentials)
            largest = max(largest, int(np.abs(charged).max()))
            after = charged - one.threshold if soft else np.broadcast_to(one.reset, charged.shape)
            potentials = np.unique(np.where(charged >= one.threshold, after, charged))
    assert dynamics(slice(2)).bound(low, high, 4) == largest


@pytest.mark.parametrize("leak", [0, 1 << 5, 1 << 14])
@pytest.mark.parametrize(("most", "soft"), [(2, False), (200, False), (2, True), (200, True)])
@pytest.mark.parametrize("steps", [2, 3, 4, 5, 90])
def test_bounds_of_many_time_steps(
    most: int, leak: int, steps: int, monkeypatch: pytest.MonkeyPatch, *, soft: bool
) -> None:
    """Bounds of skipped time-steps are no smaller than those of all, and equal without a leak."""
    one, zero = np.array([1]), np.array([0])
    dynamics = Dynamics(one, Drift(zero), np.array([100]), zero, leak, soft)
    bound = dynamics.bound(-3, most, steps)
    monkeypatch.setattr("sewdsl.integers.steps.neuron.BOUND_STEPS", 3)
    assert (
        dynamics.bound(-3, most, steps) == bound if not leak or steps < 4 else dynamics.bound(-3, most, steps) >= bound
    )


@pytest.mark.parametrize(
    ("name", "neuron"),
    [*(("sums of currents, equations", neuron) for neuron in EQUATIONS), ("numbers of each time-step", None)],
)
def test_bounds_of_equations_of_many_time_steps(name: str, neuron: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wider bounds hold for any number of time-steps, and the bounds of some time-steps are within them."""
    network = case(name, 0, neuron=neuron).network
    for step in (step for _, step in network.neurons if isinstance(step, EquationStep)):
        inputs = [(network.steps[i].value.low, network.steps[i].value.high) for i in step.inputs]
        largest, (low, high) = step.instructions.bounds(inputs, network.T if step.instructions.timed else 60)
        monkeypatch.setattr("sewdsl.integers.steps.equations.BOUND_STEPS", 2)
        wider, (least, most) = step.instructions.bounds(inputs, 10**7)
        monkeypatch.undo()
        assert largest <= wider
        if wider < LIMIT:
            assert (least <= low).all()
            assert (high <= most).all()


@pytest.mark.parametrize(
    ("ends", "leak", "soft", "bounds"),
    [
        ((0, 60), 1 << 13, False, (342, 342)),
        ((0, 101), 1 << 13, True, (424, 424)),
        ((0, 400), 1 << 13, False, (1022, 1022)),
        ((0, 400), 1 << 13, True, (2290, 14599)),
        ((0, 400), 1 << 5, True, (24616, 25176)),
        ((-9, 0), 1 << 13, True, (300, 575)),
        ((-9, 0), 1 << 5, False, (976, 999)),
    ],
)
def test_bounds_of_skipped_time_steps(
    ends: tuple[int, int], leak: int, bounds: tuple[int, int], monkeypatch: pytest.MonkeyPatch, *, soft: bool
) -> None:
    """The bounds of all time-steps, and of a time-step after three that all later ones repeat."""
    gain, threshold, reset = (np.array(pair) for pair in ((1, 2), (100, 300), (0, 0)))
    dynamics = Dynamics(gain, Drift(np.array([1, -2])), threshold, reset, leak, soft)
    every = dynamics.bound(*ends, 50)
    monkeypatch.setattr("sewdsl.integers.steps.neuron.BOUND_STEPS", 3)
    assert (every, dynamics.bound(*ends, 50)) == bounds


def test_potentials_of_32_bits_have_bounds_of_30_bits() -> None:
    """A potential plus the terms of a time-step fits 32 bits, and no bit is wasted."""
    model = sewdsl.compile("FC1b0-SN-FC3", neuron="IF(v_reset=none)", input="64", steps=50, seed=0).eval()
    bounds = []
    for high in range(120, 256, 5):
        (neuron,) = (step for _, step in build_integer_network(model, InputScaling(high=high)).neurons)
        bounds.append(neuron.bound)
    assert 2**29.9 < max(bounds) < 2**30


def test_potentials_saturate_at_the_first_bound_that_exceeds_16_bits() -> None:
    network = case("rows", 0, IntegerFormat(state_bits=16)).network
    step = next(step for _, step in network.neurons)
    assert replace(step, bound=2**15).saturates
    assert not replace(step, bound=2**15 - 1).saturates


def test_bounds_of_instructions() -> None:
    """A sum over time-steps has a bound for each channel, which includes drifts near the border and unused ones."""
    lines = Instruction("t0", "add", ("x", "v0")), Instruction("t1", "add", ("t0", "b"))
    drifts = Drift(np.array([[[5, -7]], [[1, 0]], [[1, 0]]]), (0, 1, 2), (0,)), Drift(np.array([1000, 1]))
    sums = Instructions(lines, "t1", ("t1",), (np.array([2, -3]),), drifts)
    largest, (low, high) = sums.bounds([(-1, 4), (0, 0)], 3)
    assert (largest, low.tolist(), high.tolist()) == (1000, [2, -27], [29, 9])
    for constant, timed in (([1, 2], False), ([[1, 2], [3, 4], [5, 6]], True)):
        scaled = Instruction("t2", "scale", ("t1",), (np.array(constant),))
        assert replace(sums, lines=(*lines, scaled)).timed == timed


Bounds: TypeAlias = tuple[int, list[int], list[int]]


@pytest.mark.parametrize(
    ("ends", "bounds", "wider"),
    [
        ((-3, 8), (31, [-5, -10], [16, 31]), (36, [-13, -19], [23, 36])),
        ((-8, 0), (30, [-15, -30], [0, 4]), (63, [-40, -63], [26, 48])),
        ((0, 8), (31, [0, 2], [16, 31]), (32, [-6, -9], [21, 32])),
    ],
)
def test_bounds_of_leaky_instructions(
    ends: tuple[int, int], bounds: Bounds, wider: Bounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounds of each time-step are used until they are constant, or else bounds that a time-step keeps."""
    scaled = Instruction("t0", "scale", ("v0",), (np.array([1 << 14, 3 << 13]),), 15)
    lines = scaled, Instruction("t1", "add", ("t0", "x"))
    leaky = Instructions(lines, "t1", ("t1",), (np.array([0, 5]),), (Drift(np.array([0, 0])),))

    def computed(steps: int) -> Bounds:
        largest, (low, high) = leaky.bounds([ends], steps)
        return largest, low.tolist(), high.tolist()

    assert computed(10**7) == computed(60) == bounds
    monkeypatch.setattr("sewdsl.integers.steps.equations.BOUND_STEPS", 2)
    assert computed(10**7) == wider


def test_constants_of_later_time_steps_are_in_bounds() -> None:
    late = Instruction("t", "constant", (), (np.array([[0], [0], [5]]),))
    _, (_, high) = Instructions((late,), "t", ("v0",), (np.array([0]),), (Drift(np.array([0])),)).bounds([(0, 1)], 3)
    assert high == 5


def test_bounds_of_several_time_steps_are_those_of_each() -> None:
    scaled = Instruction("t", "scale", ("x",), (np.array([[1, 2], [3, -4], [5, 6]]),))
    ends = [(np.array([-1, -1]), np.array([2, 2]))]
    lows, highs = zip(*(scaled.bounds(ends, t) for t in range(3)), strict=True)
    low, high = scaled.bounds(ends, slice(None))
    assert (low.tolist(), high.tolist()) == (np.min(lows, 0).tolist(), np.max(highs, 0).tolist())


@pytest.mark.parametrize("operation", INSTRUCTIONS)
def test_bounds_of_an_instruction_are_those_of_all_operands(operation: str) -> None:
    random = np.random.default_rng(0)
    count = {"constant": 0, "scale": 1, "reaches": 1, "levels": 1, "choose": 3}.get(operation, 2)
    for _ in range(20):
        ends = np.sort(random.integers(-4, 5, (count, 2, 1)), 1)
        constants = tuple(np.sort(random.integers(-4, 5, (3, 1)), 0))
        line = Instruction("t", operation, (), constants, int(random.integers(0, 3)))
        values = product(*(np.arange(low[0], high[0] + 1)[:, None] for low, high in ends))
        results = [int(line.compute(each, 0)[0]) for each in values]
        low, high = (int(bound[0]) for bound in line.bounds([*np.repeat(ends, 3, 2)], 0))
        assert low <= min(results) <= max(results) <= high
        # A condition selects each operand, also if its range contains no 0.
        assert operation == "choose" or (low, high) == (min(results), max(results))


@pytest.mark.parametrize("operation", PAIRS)
def test_functions_of_two_integers_have_their_bounds_at_ends(operation: Any) -> None:
    function, _ = PAIRS[operation]
    least, most = (0, 1) if operation in {"and", "iand", "or"} else (-3, 3)
    numbers = range(least, most + 1)
    for a, b, c, d in product(numbers, repeat=4):
        results = [int(function(x, y)) for x in range(a, b + 1) for y in range(c, d + 1)]
        ends = [int(function(x, y)) for x in (a, b) for y in (c, d)]
        assert not results or (min(ends), max(ends)) == (min(results), max(results))
