"""Loops: what flows back through time, and its gradient, as loops written by hand in torch have them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sewdsl
from sewdsl.lower import SpikingNetwork, State
from sewdsl.snn.layers import Linear
from tests.truth.plain import Fire
from tests.words import raises

T, N, F = 5, 3, 6
NAMED = "sewdsl 1\ninput 6\nsteps 5\nneuron LIF\nlet h = ADD[FC8 | h-DELAY-FC8]-SN\nbody h-FC3\n"
TEXTS = {
    "recurrent": "FC8-LOOP[LIF | FC8]-FC3",
    "by name": NAMED,
    "decaying": "FC8-LOOP[id | SCALE(value=0.9)]-IF-FC3",
    "nested": "FC8-LOOP[LOOP[id | SCALE(value=0.7)]-LIF | FC8-LOOP[id | FC8]]-FC3",
    "delayed": "FC8-IF-DELAY-FC3",
    "windows": "FC8-LOOP[SlidingPSN(order=3) | FC8-MaskedPSN(order=2)]-FC3",
    "two values": (
        "sewdsl 1\ninput 6\nsteps 5\nneuron LIF\nlet a = ADD[FC8 | b-DELAY]-SN\nlet b = ADD[a-FC8 | b-DELAY]-SN\n"
        "body CAT[a | b]-FC3\n"
    ).replace("CAT[a | b]", "ADD[a | b]"),
}


def built(text: str, optimize: int = 1, steps: int = T) -> SpikingNetwork:
    options: dict[str, Any] = {} if text.startswith("sewdsl") else {"input": (F,), "steps": steps}
    model = sewdsl.compile(text, seed=0, optimize=optimize, **options).double()
    assert isinstance(model, SpikingNetwork)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.5)  # so that most neurons fire
    return model


def shown() -> Tensor:
    return 2 * torch.randn(T, N, F, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.5


def outcome(model: nn.Module, x: Tensor) -> list[Tensor]:
    """The output of every time-step, and the gradients of input and weights."""
    x = x.clone().requires_grad_()
    y = model(x, return_sequence=True)
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    return [y.detach(), *torch.autograd.grad((y * weights).sum(), [x, *model.parameters()])]


class ByHand(nn.Module):
    """A recurrent layer of leaky neurons, one time-step after the other."""

    def __init__(self, model: SpikingNetwork) -> None:
        super().__init__()
        into, back, out = (module for module in model.modules() if isinstance(module, Linear))
        self.into, self.back, self.out = into, back, out

    def forward(self, x_TN: Tensor, *, return_sequence: bool) -> Tensor:
        assert return_sequence
        v = s = x_TN.new_zeros(len(x_TN[0]), 8)
        given = []
        for x in x_TN:
            current = nn.functional.linear(x, self.into.weight, self.into.bias)
            current = current + nn.functional.linear(s, self.back.weight, self.back.bias)
            h = v + (current - v) / 2
            s = Fire.apply(h - 1)  # type: ignore[no-untyped-call]
            v = h * (1 - s.detach())
            given.append(nn.functional.linear(s, self.out.weight, self.out.bias))
        return torch.stack(given)


@pytest.mark.parametrize("text", [TEXTS["recurrent"], NAMED])
def test_as_by_hand(text: str) -> None:
    model = built(text)
    found = outcome(model, shown())
    assert found[0].abs().mean() > 0.1
    for mine, theirs in zip(found, outcome(ByHand(model), shown()), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", TEXTS)
def test_levels_and_streams_give_the_same(name: str) -> None:
    text, x = TEXTS[name], shown()
    first = outcome(built(text, 0), x)
    for level in (1, 2):
        for mine, plain in zip(outcome(built(text, level), x), first, strict=True):
            torch.testing.assert_close(mine, plain, rtol=0, atol=0)
    stream, state, given = built(text).eval().stream(), None, []
    with torch.no_grad():
        for frame in x:
            y, state = stream(frame, state)
            given.append(y)
    assert torch.equal(torch.stack(given), first[0])


def test_a_state_of_another_batch_is_refused() -> None:
    stream = built(TEXTS["decaying"]).eval().stream()
    _, state = stream(shown()[0])
    assert set(state) == {"feedback.delay1", "if1"}
    with raises(ValueError):
        stream(shown()[0, :2], state)
    with raises(ValueError, "2"):
        stream(shown()[0], State({}))


def test_dropout_has_one_mask_for_all_time_steps() -> None:
    model = built("LOOP[DP | SCALE(value=0.001)]", steps=T)
    torch.manual_seed(0)
    dropped = model(torch.ones(T, 50, F, dtype=torch.float64), return_sequence=True) == 0
    assert torch.equal(dropped, dropped[:1].expand_as(dropped))
    assert 0.3 < dropped.double().mean() < 0.7


def test_only_the_nodes_of_a_loop_run_step_by_step() -> None:
    model = built("FC8-LOOP[LIF | FC8]-FC3")
    calls: list[str] = []
    for name, module in model.named_modules():
        if not list(module.children()):
            module.register_forward_hook(lambda *_, name=name: calls.append(name))
    model(shown())
    assert calls == ["fc1", *["feedback.fc1", "add1", "body.lif1"] * T, "fc2"]
    (step,) = (step for step in model.program.steps if step.loop)
    assert [model.network.nodes[i].name for i in step.outputs] == ["body.lif1"]
    assert [model.network.nodes[i].name for i in step.operands] == ["fc1"]


def test_what_is_between_the_nodes_of_a_loop_has_its_turn() -> None:
    """In the text ``b`` comes between two nodes of one loop: it reads the first, and ``c`` reads it."""
    text = (
        "sewdsl 1\ninput 6\nsteps 5\nneuron LIF\nlet a = ADD[FC8 | d-DELAY]-SN\nlet b = a-FC8\nlet d = a-FC8-SN\n"
        "body ADD[b | d]-FC3\n"
    )
    model = built(text)
    order = [[model.network.nodes[i].name for i in step.nodes] for step in model.program.steps]
    loop = next(place for place, step in enumerate(model.program.steps) if step.loop)
    assert order[loop] == ["a.shortcut.delay1", "a.add1", "a.lif1", "d.fc1", "d.lif1"]
    assert order[loop + 1 :][0] == ["b.fc1"]
    assert outcome(model, shown())[0].abs().sum() > 0


def test_a_neuron_of_ones_own_cannot_be_in_a_loop() -> None:
    model = built("FC8-LOOP[LIF | FC8]-FC3")
    model.set_submodule("body.lif1", nn.ReLU())
    with raises(TypeError):
        model(shown())
