"""Kinds that read several time-steps: their arguments, errors and time dependence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import sewdsl
from sewdsl.analysis.energy import uncounted_kinds
from sewdsl.ir.json import to_json
from sewdsl.ir.op import KnowsSteps, ShapeMismatch
from sewdsl.ir.signal import BINARY, Signal
from sewdsl.notation.net_file import write_net
from sewdsl.ops import catalogue
from sewdsl.ops.layers.attention import ChannelAttention, SpatialAttention, TemporalAttention, TemporalChannelAttention
from sewdsl.passes import optimize_program
from sewdsl.source import Source
from sewdsl.train.training_plan import plan_training
from tests.network_json import from_json
from tests.words import raises

BODY = "c6k3-BN-TA(r=2)-CA(r=3)-SA(k=3)-ReLU-SN-TCJA-POS(per=step)-c4k3-TEBN-BNTT-TAB-"
BODY += "PSN-FC5-MaskedPSN(order=3)-FC4-SlidingPSN"
KNOWING = [name for name, kind in sorted(catalogue().items()) if issubclass(kind, KnowsSteps)]


def load(body: str = BODY, **options: Any) -> sewdsl.ir.network.Network:
    return sewdsl.load(body, **{"input": "2x6x6", "steps": 4, "neuron": "LIF", **options})


def test_the_network_says_how_many_time_steps_there_are() -> None:
    assert KNOWING == ["BNTT", "CA", "MaskedPSN", "POS", "PSN", "SA", "Slice", "TA", "TAB", "TCJA", "TEBN"]
    for steps in (4, 7):
        network = load(f"{BODY}-Slice(start=-1, over=time)", steps=steps)
        told = {node.op.kind: node.op.steps for node in network if isinstance(node.op, KnowsSteps)}
        assert told == dict.fromkeys(KNOWING, steps)
        assert sum(p.numel() for p in sewdsl.compile(network).parameters()) == network.total_parameters
    assert load(steps=7).total_parameters > load().total_parameters


def test_counts_by_hand() -> None:
    signal = Signal((8, 5, 3), BINARY)
    assert TemporalAttention(r=4, steps=10).parameters(signal) == 2 * 10 * 2
    assert TemporalAttention(r=4, steps=10).macs(signal) * 10 == 2 * TemporalAttention(r=4, steps=10).parameters(signal)
    assert ChannelAttention(r=3, steps=10).parameters(signal) == 2 * 8 * 2
    assert ChannelAttention(r=3, steps=10).macs(signal) == 7  # 64 for ten time-steps
    assert SpatialAttention(k=3, steps=10).parameters(signal) == 18
    assert SpatialAttention(k=3, steps=10).macs(signal) == 27
    joint = TemporalChannelAttention(kernel_t=2, kernel_c=3, steps=10)
    assert joint.parameters(signal) == 100 * 2 + 64 * 3
    assert joint.macs(signal) == 10 * 2 * 8 + 64 * 3


@pytest.mark.parametrize(
    ("body", "said", "place"),
    [
        ("FC6-PSN(steps=8)-FC3", "PSN has steps=8, but the network has 4 time-steps", "1:5"),
        ("FC6-TA(r=9)", "TA: reduction r=9 exceeds the 4 time-steps", "1:5"),
        ("FC6-CA(r=9)", "CA: reduction r=9 exceeds the 6 channels", "1:5"),
        ("c6k3-SA(k=4)", "'k' of 'SA' must be odd", "1:9"),
        ("FC6-TA(r=0)", "'r' of 'TA' must be at least 1", "1:8"),
        ("FC6-SlidingPSN(order=0)", "'order' of 'SlidingPSN' must be at least 1", "1:16"),
    ],
)
def test_what_does_not_fit_is_said_where_it_is(body: str, said: str, place: str) -> None:
    (found,) = sewdsl.read(body, input="2x6x6", steps=4).diagnostics
    line, column = found.span.source.position(found.span.start)
    assert (found.code, found.message, f"{line}:{column}") == ("invalid-argument", said, place)
    assert found.help or found.label


def test_a_vector_has_no_places() -> None:
    for body in ("FC6-SA(k=3)", "FC6-TCJA"):
        assert [d.code for d in sewdsl.read(body, input="2x6x6", steps=4).diagnostics] == ["wrong-rank"]


def test_a_stated_number_is_the_same_network() -> None:
    assert [node.op for node in load("FC6-PSN(steps=4)-FC3")] == [node.op for node in load("FC6-PSN-FC3")]
    with raises(ShapeMismatch):
        load("FC6-PSN-FC3").nodes[2].op.over_steps(5)


def test_printers_leave_the_number_out_and_files_keep_it() -> None:
    network = load(neuron="PSN(v_threshold=0.5)")
    text = write_net(network)
    assert "steps=" not in text
    again = sewdsl.read(Source("again", text)).result()
    assert [node.op for node in again] == [node.op for node in network]
    assert again.settings == network.settings
    assert from_json(to_json(network)) == network


def test_a_network_of_other_steps_is_not_whole() -> None:
    network = load()
    other = replace(network, settings=network.settings.model_copy(update={"steps": 5}))
    with raises(ValueError):
        other.validate()


@pytest.mark.parametrize(
    ("body", "varies"),
    [
        *(("c6k3-CA(r=2)", False), ("c6k3-SA(k=3)", False), ("c6k3-TA(r=2)", True), ("c6k3-TCJA", True)),
        *(("c6k3-TEBN", True), ("c6k3-PSN", True), ("c6k3-SlidingPSN", True), ("c6k3-MaskedPSN", True)),
    ],
)
def test_dependence_on_time_of_a_static_input(body: str, *, varies: bool) -> None:
    """The time dependence agrees with computed values, with and without a hoisted prefix."""
    network = load(body, set={"encode": "direct"})
    assert network.nodes[-1].output.varies == varies
    steps = {step.gives: step.once for step in optimize_program(network).steps}
    assert steps == {1: True, 2: not varies}
    x = torch.randn(3, 2, 6, 6, dtype=torch.float64)
    found = []
    for level in (0, 1):
        model = sewdsl.compile(network, seed=0, optimize=level).double()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.linspace(0, 1, parameter.numel()).reshape(parameter.shape))
            found.append(model(x, return_sequence=True))
    torch.testing.assert_close(found[1], found[0], rtol=1e-12, atol=1e-12)
    assert (not torch.equal(found[0][0], found[0][1])) == varies


def test_another_length_is_refused_where_weights_have_one() -> None:
    x = torch.randn(5, 2, 2, 6, 6)
    message = r"ta1 \(TA\) has weights for 4 time-steps, but the input has 5; compile the network with steps=5"
    with pytest.raises(ValueError, match=message):
        sewdsl.compile(BODY, input="2x6x6", steps=4, neuron="LIF")(x)
    assert sewdsl.compile("c6k3-CA(r=2)-SA(k=3)-SlidingPSN-FC3", input="2x6x6", steps=4)(x).shape == (2, 3)


RECIPE = """sewdsl 1
input 1x8x8
steps 4
encode direct
body c4k3-BN-{}-GAP-FC10
train on digits {{
    T_train 2
    optimizer Adam(lr=0.001)
}}
"""


def test_training_on_fewer_time_steps_is_refused_where_weights_have_one_number() -> None:
    for neuron, wrong in (("PSN", True), ("SlidingPSN", False)):
        compilation = sewdsl.read(Source("recipe", RECIPE.format(neuron)))
        assert compilation.valid
        if not wrong:
            plan_training(compilation)
            continue
        with pytest.raises(sewdsl.SewdslError, match=r"T_train 2 deletes time-steps, but psn1"):
            plan_training(compilation)


def test_training_on_fewer_time_steps_keeps_whole_chunks() -> None:
    attention = "SN-APPLY(chunk={0})[SCORES(chunk={0})[id | id]-SN | id]-SN"
    for chunk, wrong in ((2, False), (4, True)):
        compilation = sewdsl.read(Source("recipe", RECIPE.format(attention.format(chunk)).replace("SN", "IF")))
        assert compilation.valid
        if wrong:
            with pytest.raises(sewdsl.SewdslError, match="T_train 2 is not a multiple of 4"):
                plan_training(compilation)
        else:
            plan_training(compilation)


def test_a_stream_ends_where_weights_end() -> None:
    model = sewdsl.compile("FC5-TEBN-MaskedPSN(order=2)-FC3", input="6", steps=3).eval()
    x, state = torch.randn(4, 2, 6), None
    stream = model.stream()
    for x_N in x[:3]:
        _, state = stream(x_N, state)
    assert state is not None
    assert state.t == 3
    assert state["maskedpsn1"].shape == (1, 2, 5)
    with raises(ValueError):
        stream(x[3], state)


def test_a_stream_takes_no_state_of_another_network() -> None:
    one, other = (sewdsl.compile(f"FC{width}-SlidingPSN(order=3)-FC3", input="6").eval() for width in (5, 7))
    x = torch.randn(2, 6)
    _, state = one.stream()(x)
    with raises(ValueError):
        other.stream()(x, state)


def test_energy_says_what_it_leaves_out() -> None:
    assert uncounted_kinds(load()) == ("TA", "CA", "SA", "TCJA")
    assert uncounted_kinds(sewdsl.load("7b-net")) == ()
