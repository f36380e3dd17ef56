"""Streams: equal to the whole sequence, or rejected."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sewdsl.lower import SpikingNetwork, State
from tests.words import raises

Build = Callable[..., SpikingNetwork]


@pytest.mark.parametrize("neuron", ["IF", "LIF(tau=3.0)", "PLIF(v_reset=-0.5)", "PLIF(v_reset=none)"])
def test_steps_equal_the_sequence(build: Build, neuron: str) -> None:
    model = build(neuron=neuron).double()
    x = torch.randn(9, 3, 2, 16, 16, dtype=torch.float64)
    stream, state = model.stream(), None
    for expected, x_N in zip(model(x, return_sequence=True), x, strict=True):
        y_N, state = stream(x_N, state)
        torch.testing.assert_close(y_N, expected, rtol=1e-12, atol=1e-12)


def test_spikes_are_exactly_the_same(build: Build, frames: Tensor) -> None:
    model = build("c4k3-BN-SN-{SEW Block (c4)}*3", neuron="IF")
    stream, state = model.stream(), None
    for expected, x_N in zip(model(frames, return_sequence=True), frames, strict=True):
        y_N, state = stream(x_N, state)
        assert torch.equal(y_N, expected)
        assert y_N.max() > 1


def test_the_state_is_explicit_and_never_changes(build: Build, frames: Tensor) -> None:
    stream = build().stream()
    _, state = stream(frames[0])
    kept = {name: v.clone() for name, v in state.items()}
    first, _ = stream(frames[1], state)
    stream(frames[2])  # another sequence in between
    again, after = stream(frames[1], state)
    assert torch.equal(first, again)
    assert after is not state
    assert all(torch.equal(state[name], v) for name, v in kept.items())
    assert not hasattr(state, "__setitem__")
    assert "plif1" in state
    assert "repeat1.1.sew_block1.branch.plif1" in state
    assert "plif1: [3, 4, 16, 16]" in repr(state)


def test_the_state_pickles_and_copies(build: Build, frames: Tensor) -> None:
    stream = build().stream()
    _, state = stream(frames[0])
    state = state.detach()
    expected, _ = stream(frames[1], state)
    for other in (pickle.loads(pickle.dumps(state)), copy.deepcopy(state)):  # noqa: S301 -- its own bytes
        y_N, _ = stream(frames[1], other)
        assert torch.equal(y_N, expected)


def test_gradients_flow_through_the_state_until_it_is_detached(build: Build, frames: Tensor) -> None:
    stream = build("FC20-SN-FC3", size="12", neuron="IF").stream()
    x = torch.rand(2, 3, 12, requires_grad=True)
    _, state = stream(x[0])
    kept, _ = stream(x[1], state)
    cut, _ = stream(x[1], state.detach())
    through, around = (torch.autograd.grad(y.sum(), x, retain_graph=True)[0] for y in (kept, cut))
    assert through[0].abs().sum() > 0
    assert around[0].abs().sum() == 0
    torch.testing.assert_close(through[1], around[1])


@pytest.mark.parametrize("layer", ["BN", "DP"])
def test_it_refuses_layers_that_need_all_steps_at_once(build: Build, frames: Tensor, layer: str) -> None:
    model = build(f"c4k3-{layer}-IF-FC5")
    stream = model.train().stream()
    with raises(RuntimeError):
        stream(frames[0])
    model.eval()
    stream(frames[0])
    build("c4k3-IF-FC5").train().stream()(frames[0])


def test_it_explains_what_does_not_fit(build: Build, frames: Tensor) -> None:
    stream = build().stream()
    with raises(ValueError):
        stream(frames)
    with pytest.raises(ValueError, match=r"parameters are torch\.float32"):
        stream(frames[0].double())
    _, state = stream(frames[0])
    with raises(ValueError, "2"):
        stream(frames[0, :2], state)
    with raises(ValueError, "3"):
        stream(frames[0], State({}))
    assert repr(stream).startswith("Stream(")
