"""Integer networks use the bits of their formats, and refuse sums beyond 32 bits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, TypeVar

import numpy as np
import pytest
import torch

import sewdsl
from sewdsl.integers.build import InputScaling, IntegerFormat, NoIntegerLaw, build_integer_network
from sewdsl.integers.calibration import measure_ranges
from sewdsl.integers.network import BoundExceeded, IntegerNetwork
from sewdsl.integers.steps.equations import EquationStep
from sewdsl.integers.steps.functions import Pooled, Rescaled
from sewdsl.integers.steps.neuron import IntegerNeuron
from sewdsl.integers.steps.step import DelayStep, Step
from sewdsl.integers.steps.weighted import Convolution
from sewdsl.integers.value import IntegerValue
from sewdsl.lower import SpikingNetwork
from tests.integers.zoo import NETWORKS, case


def compiled(text: str, weights: dict[str, Any] | None = None, **options: Any) -> SpikingNetwork:
    """Module in float64, with some parameters set to numbers or tensors."""
    header = {key: options.pop(key) for key in ("readout", "encode") if key in options}
    settings: dict[str, Any] = {"input": "4", "steps": 2, "neuron": "IF", "set": header, **options}
    model = sewdsl.compile(text, seed=0, **settings).eval().double()
    with torch.no_grad():
        for name, numbers in (weights or {}).items():
            parameter = model.get_parameter(name)
            parameter.copy_(torch.as_tensor(numbers).expand_as(parameter))
    return model


S = TypeVar("S", bound=Step)


def the(kind: type[S], network: IntegerNetwork) -> S:
    """Last step of a kind."""
    return [step for step in network.steps if isinstance(step, kind)][-1]


def outputs(network: IntegerNetwork, n: np.ndarray) -> np.ndarray:
    (integers,) = network.run(n).values()
    return integers * network.readouts[0].unit


# --- input


def test_pixels_are_normalised() -> None:
    scaling = InputScaling.of_pixels([0.5, 0.25], [0.2, 0.4], white=200)
    n = np.array([[0], [60], [200]])
    assert scaling.high == 200
    assert np.allclose(n * scaling.factor + scaling.shift, (n / 200 - [0.5, 0.25]) / [0.2, 0.4])
    assert InputScaling.of_pixels([0.5], [0.5]).high == 255


def test_integers_of_a_range_are_not_scaled() -> None:
    network = build_integer_network(compiled("FC3", input="4 of 16"), InputScaling.of_pixels([0.5], [0.5]))
    value = network.steps[0].value
    assert [value.low, value.high, value.factor, value.shift] == [0, 15, 1, 0]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        *((0, 1, "bit"), (-1, 1, "int8"), (0, 2, "uint8"), (0, 255, "uint8"), (0, 256, "int16"), (-1, 128, "int16")),
        *((-128, 127, "int8"), (-129, 0, "int16"), (-(2**15), 2**15 - 1, "int16"), (0, 2**15, "int32")),
        *((-(2**15) - 1, 0, "int32"), (-(2**31), 2**31 - 1, "int32")),
    ],
)
def test_formats_hold_their_ranges(low: int, high: int, expected: str) -> None:
    assert IntegerValue((1, 1, 1), low, high).format == expected


# --- bits


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("FC1032b0-FC1b0", {"steps": 1}),
        ("FC258b0-FC1b0", {"steps": 4, "readout": "sum"}),
        ("FC1032b0-FC1b0", {"steps": 4, "readout": "last"}),
        ("FC1032b0-FC1b0-SN", {"steps": 4}),
    ],
)
def test_sums_of_currents_use_32_bits(text: str, options: dict[str, Any]) -> None:
    model = compiled(text, {"fc1.weight": 1.0, "fc2.weight": 1.0}, **options)
    sums = the(Convolution, build_integer_network(model)).value.magnitude
    assert 2**30.9 < sums * (4 if options.get("readout") == "sum" else 1) < 2**31


def test_currents_are_read_with_16_bits() -> None:
    model = compiled("FC8b0-FC1b0", {"fc1.weight": 1.0})
    for origin, ranges in (("proven", {}), ("measured", {"fc2": (np.full(8, -900.0), np.full(8, 900.0))})):
        network = build_integer_network(model, ranges=ranges)
        assert the(Rescaled, network).value.magnitude == 2**15 - 1
        assert network.notes == (f"fc2 reads currents, rounded to 16 bits of their {origin} range",)


@pytest.mark.parametrize(("inputs", "is_rescaled"), [(20_000, False), (40_000, True)])
def test_outputs_use_30_bits(inputs: int, *, is_rescaled: bool) -> None:
    weights = torch.tensor([1.0, 0.0, 0.5])
    model = compiled("c3k1b0", {"conv1.weight": weights[:, None, None, None]}, input=f"{inputs}x2x2", readout="last")
    network = build_integer_network(model)
    assert any(isinstance(step, Rescaled) for step in network.steps) == is_rescaled
    expected = weights.numpy() * inputs * 255
    computed = outputs(network, np.full((2, 1, 2, 2, inputs), 255)).reshape(4, 3)
    assert np.allclose(computed, expected, rtol=0.01)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_products_beyond_32_bits_are_refused(sign: float) -> None:
    model = compiled("FC2b0", {"fc1.weight": torch.tensor([[sign], [0.0]])}, input="70000")
    with pytest.raises(NoIntegerLaw, match="which exceeds 32 bits"):
        build_integer_network(model)


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"steps": 1}, "; reduce its inputs"),
        ({"steps": 2, "readout": "last"}, "; reduce its inputs"),
        ({"steps": 2}, " at each of 2 time-steps, which exceeds 32 bits; reduce the time-steps, or use 'readout last'"),
    ],
)
def test_refusals_of_many_products_name_the_remedy(options: dict[str, Any], place: str) -> None:
    with pytest.raises(NoIntegerLaw) as refused:
        build_integer_network(compiled("SCALE(value=2)-FC1b0", **options), formats=IntegerFormat(weight_bits=30))
    assert place in str(refused.value)


def test_the_last_bit_of_currents_is_used() -> None:
    """At 600,000 time-steps, 12 products leave one bit for a current."""
    network = build_integer_network(compiled("FC12b0-FC5b0", steps=600_000))
    assert next(step for step in network.steps if isinstance(step, Rescaled)).value.magnitude <= 2


@pytest.mark.parametrize(("channels", "is_rescaled"), [(4000, False), (5000, True)])
def test_sums_of_positions_use_31_bits(channels: int, *, is_rescaled: bool) -> None:
    model = compiled("c1k1b0-SUM(over=places)", {"conv1.weight": 1.0}, input=f"{channels}x4x4", readout="last")
    network = build_integer_network(model)
    sums, exact = the(Pooled, network).value.magnitude, channels * 255 * 127 * 4 * 4
    assert (sums != exact) == is_rescaled
    assert 2**29.9 < sums < 2**31 < 2 * exact
    assert any("adds 16 values, rounded to 27 bits" in note for note in network.notes) == is_rescaled


@pytest.mark.parametrize(("steps", "bits"), [(3, None), (4, 26), (5, 25), (2**28, 1)])
def test_currents_of_neurons_leave_room_for_all_time_steps(steps: int, bits: int | None) -> None:
    """Sums of 2^29 or more over all time-steps are rounded to 28 bits."""
    inputs = 2**29 // (255 * 127 * 4) + 1
    model = compiled("FC1b0-SN", {"fc1.weight": 1.0}, input=str(inputs), steps=steps)
    network = build_integer_network(model)
    magnitudes = [step.value.magnitude for step in network.steps if isinstance(step, Rescaled)]
    assert [(magnitude + 1).bit_length() for magnitude in magnitudes] == ([] if bits is None else [bits + 1])


@pytest.mark.parametrize("bits", [16, 32])
def test_thresholds_of_small_weights(bits: Literal[16, 32]) -> None:
    """The largest thresholds leave two bits of 16, and nine bits of 32. A drift alone needs few bits."""
    weights = {"fc1.weight": torch.tensor([[1e-12], [0.0]]), "fc1.bias": torch.tensor([0.0, 0.3])}
    model = compiled("FC2b1-SCALE(value=1, learn=on, per=channel)-SN", weights)
    dynamics = the(IntegerNeuron, build_integer_network(model, formats=IntegerFormat(state_bits=bits))).dynamics
    assert dynamics.threshold[0] == 2 ** {16: 13, 32: 22}[bits]
    assert dynamics.threshold[1] == dynamics.threshold[0]
    small = compiled("FC2b0-SCALE(value=1e-4)-SN", {"fc1.weight": 1e-3})
    with_small_scale = the(IntegerNeuron, build_integer_network(small, formats=IntegerFormat(state_bits=bits)))
    assert (with_small_scale.dynamics.threshold == 2 ** {16: 13, 32: 28}[bits]).all()


def test_thresholds_of_equations_with_small_weights() -> None:
    """The unit of the input is 2^-16 of the threshold, and that of potentials 2^-8 of it."""
    header = "sewdsl 1\ninput 4\nsteps 2\n"
    model = sewdsl.compile(f"{header}neuron N {{\n    give fire(x - 1)\n}}\nbody FC2b0-N\n", seed=0).eval()
    with torch.no_grad():
        model.get_parameter("fc1.weight").fill_(1e-12)
    lines = the(EquationStep, build_integer_network(model)).instructions.lines
    (threshold,) = (line.constants[0] for line in lines if line.operation == "constant")
    assert (threshold == -(2 ** (16 + 8))).all()


@pytest.mark.parametrize(("threshold", "is_rescaled"), [(32767.0, False), (32767.5, True), (32768.0, True)])
@pytest.mark.parametrize("decay", [0, 0.75])
def test_thresholds_of_currents_fit_16_bits(decay: float, threshold: float, *, is_rescaled: bool) -> None:
    neuron = f"LIF(tau=4.0, v_threshold={threshold / 4})" if decay else f"IF(v_threshold={threshold})"
    model = compiled("SN-FC1", neuron=neuron)
    network = build_integer_network(model, formats=IntegerFormat(state_bits=16))
    dynamics = the(IntegerNeuron, network).dynamics
    assert any(isinstance(step, Rescaled) for step in network.steps) == is_rescaled
    assert (dynamics.threshold == (2**13 if is_rescaled else 2**15 - 1)).all()


@pytest.mark.parametrize("units", [2**15 - 1, 2**15])
def test_resets_fit_16_bits(units: int) -> None:
    """The unit of a potential is 2^-13 of the threshold."""
    model = compiled("FC2b0-SN", {"fc1.weight": 1e-12}, neuron=f"IF(v_reset={-units / 2**13})")
    if units < 2**15:
        network = build_integer_network(model, formats=IntegerFormat(state_bits=16))
        assert (the(IntegerNeuron, network).dynamics.reset == -units).all()
    else:
        with pytest.raises(NoIntegerLaw, match="has a reset of 32,768 units, which exceeds 16 bits; use '--state 32'"):
            build_integer_network(model, formats=IntegerFormat(state_bits=16))


@pytest.mark.parametrize("neuron", ["IF", "KLIF"])
def test_units_of_potentials_are_as_fine_as_their_bound_allows(neuron: str) -> None:
    """A negative drift accumulates, because nothing resets it."""
    kind = IntegerNeuron if neuron == "IF" else EquationStep

    def bound(exponent: int) -> int:
        bias = torch.tensor([-(2.0**exponent), 0.0])
        weights = {"fc1.weight": 127 / 2**14, "fc1.bias": bias}
        return the(kind, build_integer_network(compiled(f"FC2b1-{neuron}", weights, steps=1))).bound

    largest = 15 if neuron == "IF" else 14
    assert all(2**29 <= bound(exponent) < 2**30 for exponent in range(7, largest + 1))
    assert bound(5) < 2**29
    with pytest.raises(NoIntegerLaw, match="can reach a potential of"):
        bound(largest + 1)


@pytest.mark.parametrize(("size", "ratio"), [(1.2, 0.8), (0.8, 1.4)])
def test_terms_that_cancel_leave_room(size: float, ratio: float) -> None:
    """The input and the drift of a neuron can each exceed its potentials, here in the unit 2^-8."""
    level = round(size * 2**22)
    model = compiled(
        f"MAP{{round(clip(x, {level}, {level + 2}))}}-BN-SN", {"bn1.weight": torch.tensor([1.0, 0])}, input="2"
    )
    model.get_submodule("bn1").running_mean.fill_(level * ratio)  # type: ignore[operator]
    neuron = the(IntegerNeuron, build_integer_network(model))
    assert neuron.bound < 2**29
    assert neuron.dynamics.gain.tolist() == [2**7, 0]


def test_channels_of_zero_next_to_a_border() -> None:
    weights = {"scale1.weight": torch.tensor([0.0, 1])}
    text = "c2k3b0-SCALE(value=1, learn=on, per=channel)-MPk2-FC3"
    model = compiled(text, weights, encode="direct", input="1x2x2", readout="sum")
    network = build_integer_network(model, InputScaling.of_pixels([0.4], [0.3]), ranges={})
    n = np.random.default_rng(0).integers(0, 256, (5, 2, 2, 1))
    with torch.no_grad():
        expected = model(torch.from_numpy((n.reshape(5, 1, 2, 2) / 255 - 0.4) / 0.3)).numpy()
    assert np.abs(outputs(network, n) - expected).max() <= 0.01 * np.abs(expected).max()


def test_large_weights_fire_only_with_an_input() -> None:
    network = build_integer_network(compiled("FC2b0-SN", {"fc1.weight": 1e6}, readout="sum"))
    n = np.array([[0, 0, 0, 0], [1, 0, 0, 0]]).reshape(1, 2, 1, 1, 4).repeat(2, 0)
    assert outputs(network, n).tolist() == [[0, 0], [2, 2]]


def test_sums_of_different_units() -> None:
    """The unit is 2^-12 of the finest operand, or what leaves 27 bits for the sum."""
    for factor, expected in ((0.37, 0.37 / 2**12), (1e-9, 255 / (2**27 - 1))):
        network = build_integer_network(compiled(f"ADD[id | SCALE(value={factor})]"), ranges={})
        assert the(Rescaled, network).value.factor == pytest.approx(expected, rel=1e-6)
    long = build_integer_network(compiled("ADD[id | SCALE(value=1e-9)]", steps=64, readout="last"), ranges={})
    assert 2**21.9 < long.steps[-1].value.magnitude < 2**22.1


def test_ranges_of_sums_are_rounded_like_the_sums() -> None:
    """The least sum is -0.13 or -1.3 units."""
    for factor, least in ((-1e-9, 0), (-1e-8, -1)):
        model = compiled(f"ADD[Slice(stop=2) | Slice(start=2)-SCALE(value={factor})]", steps=1)
        network = build_integer_network(model, ranges={})
        value = the(Rescaled, network).value
        n = np.array([[0, 0, 255, 255], [255, 255, 0, 0]]).reshape(1, 2, 1, 1, 4)
        (sums,) = network.run(n).values()
        assert (value.low, value.high) == (sums.min(), sums.max())
        assert value.low == least


def test_delayed_currents_have_26_bits() -> None:
    network = build_integer_network(compiled("FC3b0-DELAY-FC2"))
    value = the(DelayStep, network).value
    assert (value.low, value.high) == (-(2**26) - 1, 2**26 + 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_factors_of_sums_have_28_bits(name: str) -> None:
    for step in case(name, 0).network.steps:
        if isinstance(step, Rescaled):
            largest = max(int(np.abs(factors).max()) for factors in step.factors)
            assert largest < 2**29
            assert largest >= 2**27 or step.shift in {15, 28}


# --- ranges


def test_ranges_are_those_of_all_batches() -> None:
    model = compiled("FC2b0-FC2-BN", {"fc1.weight": torch.tensor([[1.0, 1, 0, 0], [0, -2, -2, 0]])}, steps=2)
    network = build_integer_network(model)
    x = torch.arange(16.0, dtype=torch.float64).reshape(2, 2, 4)
    ((name, (low, high)),) = measure_ranges(model, network, [x, x[:, :1] + 20]).items()
    assert (name, low.tolist(), high.tolist()) == ("fc2", [1, -118], [57, -6])
    assert measure_ranges(model, build_integer_network(compiled("SN-FC2")), []) == {}


@pytest.mark.parametrize("measured", [0.0, 1e-15])
def test_currents_of_silent_samples_keep_their_proven_range(measured: float) -> None:
    model = compiled("FC3b0-FC2b0", readout="sum")
    ranges = {"fc2": (np.full(3, -measured), np.full(3, measured))}
    network = build_integer_network(model, ranges=ranges)
    rescaled = the(Rescaled, network)
    assert max(int(np.abs(each).max()) for each in rescaled.factors) <= 2**28
    if not measured:
        n = np.random.default_rng(0).integers(0, 256, (2, 6, 1, 1, 4))
        expected = model(torch.from_numpy(n[:, :, 0, 0]).double()).detach().numpy()
        assert np.abs(outputs(network, n) - expected).max() < 0.01 * np.abs(expected).max()


@pytest.mark.parametrize(("factor", "is_rounded"), [(3.9, False), (4.0, False), (4.1, True)])
def test_uneven_channels_are_rounded(factor: float, *, is_rounded: bool) -> None:
    """The channel with the largest factor has small values, so that weights of the other one lose bits."""
    weights = torch.tensor([[1.0, 1, 1, 1], [0.5, 0, 0, 0]])
    model = compiled(
        "FC2b0-SCALE(value=1, learn=on, per=channel)-FC2",
        {"fc1.weight": weights, "scale1.weight": torch.tensor([1.0, factor])},
    )
    network = build_integer_network(model, InputScaling(1))
    assert any(isinstance(step, Rescaled) for step in network.steps) == is_rounded


# --- delays


def test_bounds_of_16_time_steps_are_exact() -> None:
    """Beyond, bounds that hold for any number of time-steps are up to twice as large."""
    currents = []
    for steps in (16, 17):
        model = compiled("FC1b0-LOOP[id | SCALE(value=0.9)]-SN", {"fc1.weight": 1.0}, steps=steps)
        value = the(DelayStep, build_integer_network(model, InputScaling(1))).value
        # Without the sum of the last time-step, which is not read.
        exact = 4 * sum(0.9**k for k in range(steps))
        currents.append(value.factor * 2**26 / exact)
    assert 1 < currents[0] < 1.1
    assert 1.2 < currents[1] < 2


@pytest.mark.parametrize(
    ("factor", "steps", "reason"),
    [
        (31.9, 4, ""),
        (1.02, 60, "adds up currents over 60 time-steps without a bound"),
        (1.04, 60, "is in a loop that makes currents 95 times larger, which 32 bits do not hold"),
    ],
)
def test_growth_of_delayed_currents(factor: float, steps: int, reason: str) -> None:
    model = compiled(f"FC1b0-LOOP[id | SCALE(value={factor})]-SN", {"fc1.weight": 1.0}, steps=steps)
    if not reason:
        build_integer_network(model)
        return
    with pytest.raises(NoIntegerLaw) as refused:
        build_integer_network(model)
    assert reason in str(refused.value)


# --- values


def test_bounds_are_checked() -> None:
    """The reference raises an error if a value or a potential exceeds its bound by one."""
    model = compiled("FC2b0-SN-FC1", {"fc1.weight": torch.tensor([[1.0], [-1.0]])})
    network = build_integer_network(model)
    n = np.full((2, 1, 1, 1, 4), 255)
    network.run(n)
    sums, neuron = network.steps[1], the(IntegerNeuron, network)
    narrow = (
        replace(sums, value=replace(sums.value, low=sums.value.low + 1)),
        replace(sums, value=replace(sums.value, high=sums.value.high - 1)),
        replace(neuron, bound=neuron.bound - 1),
    )
    for step in narrow:
        steps = tuple(step if each.name == step.name else each for each in network.steps)
        with pytest.raises(BoundExceeded, match=f"^{step.name}: "):
            replace(network, steps=steps).run(n)


def test_inputs_of_files_are_one_after_another() -> None:
    text = """sewdsl 1
input int 2x2x3
input right 3
steps 2
neuron IF
let a = int-FC6-BN
let b = right-FC6-BN
body CAT[a-SN | b-SN]-FC4
"""
    network = build_integer_network(sewdsl.compile(text, seed=0).eval())
    x = np.arange(2 * 5 * 15).reshape(2, 5, 15)
    by_sample = network.by_sample(x)
    assert network.input_sizes == [24, 6]
    assert by_sample.shape == (5, 30)
    for sample in range(5):
        expected = [*x[:, sample, :12].ravel(), *x[:, sample, 12:].ravel()]
        assert by_sample[sample].tolist() == expected
    maps = np.arange(2 * 5 * 18).reshape(2, 5, 3, 3, 2)
    network = build_integer_network(compiled("c1k3", input="2x3x3"))
    assert np.array_equal(network.by_sample(maps), maps.swapaxes(0, 1).reshape(5, 36))


def test_readouts_add_up_or_keep_the_last_time_step() -> None:
    n = np.arange(2 * 3 * 4).reshape(2, 3, 1, 1, 4)
    for readout, expected in (("sum", n.sum(0)), ("mean", n.sum(0)), ("last", n[1])):
        network = build_integer_network(compiled("DP0.5", readout=readout))
        assert np.array_equal(network.run(n)[""], expected[:, 0, 0])


@pytest.mark.parametrize(("distance", "bits", "is_noted"), [(5e-4, 8, False), (2e-3, 8, True), (2e-3, 7, False)])
def test_weights_off_the_grid_are_noted(distance: float, bits: int, *, is_noted: bool) -> None:
    recipe = "train on mnist {\n    optimizer SGD(lr=0.1)\n    quantize int8\n}"
    model = sewdsl.compile(f"sewdsl 1\ninput 4\nsteps 2\nbody FC2b0\n{recipe}\n", seed=0).eval().double()
    with torch.no_grad():
        model.get_parameter("fc1.weight").copy_(torch.tensor([[127.0, 100 + distance, 0, -5], [3, 0, 1, 2]]) / 127)
    network = build_integer_network(model, formats=IntegerFormat(weight_bits=bits))
    assert (network.notes == ("weights that 'quantize' has not rounded to this grid: fc1",)) == is_noted


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("FC3b0", {"fc1.weight": 0.0}),
        ("FC3b0", {"fc1.weight": 1e-9}),
        ("FC3-SCALE(value=0, learn=on)", {}),
        ("SCALE(value=0, learn=on)-ReLU-FC3", {}),
        ("Reshape(2x2)-TOK2-Flatten-FC3", {"tok1.weight": 0.0}),
        ("Reshape(2x2)-TOK2-Flatten-FC3", {}),
        ("FC3-PLIF-FC3", {"plif1.w": -1000.0}),
        ("CAT[FC2-ALIF | id]-FC3", {"fc1.weight": 0.0}),
    ],
)
@pytest.mark.parametrize("encode", ["none", "direct"])
def test_weights_of_zero(text: str, weights: dict[str, Any], encode: str) -> None:
    model = compiled(text, weights, encode=encode, readout="sum")
    scaling = InputScaling.of_pixels([0.4], [0.3]) if encode == "direct" else None
    network = build_integer_network(model, scaling, ranges={})
    n = np.random.default_rng(0).integers(0, 256, (5, 1, 1, 4) if encode == "direct" else (2, 5, 1, 1, 4))
    x = n.reshape(*n.shape[:-3], 4) * np.asarray(network.steps[0].value.factor) + network.steps[0].value.shift
    with torch.no_grad():
        expected = model(torch.from_numpy(x.astype(float))).numpy()
    assert np.abs(outputs(network, n) - expected).max() <= 0.01 * np.abs(expected).max()


@pytest.mark.parametrize("sizes", [(1.0, 1.0, 1.0), (1.0, 0.5, 1e-7)])
# Potentials have five fraction bits, so that the last two factors are next to 2^22.
@pytest.mark.parametrize(("factor", "shift"), [(123456.789, 8), (131071.95, 8), (131071.98, 7)])
def test_large_factors_of_equations(factor: float, shift: int, sizes: tuple[float, ...]) -> None:
    """Factors above 2^15 leave fewer fraction bits."""
    header = f"sewdsl 1\nneuron New {{\nv = x - 0.5*v\ngive fire(v - 1) - fire({factor}*x + v - 1)\n}}\n"
    model = compiled(f"{header}body FC3b0-New\n", {}, input="4 of 2", neuron=None, readout="sum")
    with torch.no_grad():
        model.get_parameter("fc1.weight").mul_(torch.tensor(sizes)[:, None])
    network = build_integer_network(model)
    n = np.random.default_rng(0).integers(0, 2, (2, 50, 1, 1, 4))
    with torch.no_grad():
        expected = model(torch.from_numpy(n[:, :, 0, 0].astype(float))).numpy()
    assert (outputs(network, n) != expected).mean() < 0.05
    *_, scaled = (line for line in the(EquationStep, network).instructions.lines if line.shift)
    assert 2**28.9 < np.abs(scaled.constants[0]).max() < 2**30
    assert scaled.shift == shift


def test_sums_of_negative_spikes_and_spikes_have_the_range_of_both() -> None:
    for text in ("ADD[FC4-Ternary | FC4-SN]", "ADD[FC4-SN | FC4-Ternary]"):
        value = build_integer_network(compiled(text)).steps[-1].value
        assert (value.low, value.high) == (-1, 2)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        *((f"MAP{{{function}(clip(0.5*x, 0, 7))}}", 0.0) for function in ("round", "floor", "ceil")),
        # A division outside of a sum is no product in the normal form.
        ("MAP{where(x/4 > 1.3, x/4, x/2)}", 0.01),
        ("MAP{max(x/8, 0.7)}", 0.01),
        # Spikes remain integers in the unit 1.
        ("MAP{relu(x > 3)}-DELAY", 0.0),
        ("AND[MAP{relu(x > 3)} | MAP{fire(x - 8)}]", 0.0),
    ],
)
def test_functions_of_integers_are_those_of_floats(text: str, error: float) -> None:
    model = compiled(text, input="16 of 16", steps=1)
    n = np.arange(16).reshape(1, 1, 1, 1, 16)
    with torch.no_grad():
        expected = model(torch.arange(16.0).double().reshape(1, 1, 16)).numpy()
    assert np.abs(outputs(build_integer_network(model), n) - expected).max() <= error


def test_neurons_with_inputs_of_different_units() -> None:
    lines = "h = 0.5*v + a - 0.25*b\ns = fire(h - v_threshold)\nv = reset(h, s)\ngive s"
    random = np.random.default_rng(0)
    weights: dict[str, Any] = {"b.fc1.bias": torch.from_numpy(random.normal(0, 0.5, 16))}
    for name, unit in (("a.fc1", 1 / 127), ("b.fc1", 4 / 127)):
        integers = random.integers(-127, 128, (16, 4))
        integers[0, 0] = 127
        weights[f"{name}.weight"] = torch.from_numpy(integers * unit)
    model = compiled(
        f"sewdsl 1\nneuron Two[a | b] {{\n{lines}\n}}\nbody Two[FC16b0 | FC16b1]\n",
        weights,
        input="4",
        steps=8,
        neuron=None,
        readout="sum",
    )
    n = random.poisson(0.5, (8, 50, 1, 1, 4))
    with torch.no_grad():
        expected = model(torch.from_numpy(n[:, :, 0, 0].astype(float))).numpy()
    assert expected.any()
    assert (outputs(build_integer_network(model), n) != expected).mean() < 0.001
