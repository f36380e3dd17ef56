"""Values that are recomputed are the same to the bit, and so are the gradients."""

import gc
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parametrize

import sewdsl
from sewdsl.lower import SpikingNetwork, lower, saved_tensors
from sewdsl.passes import Program, optimize_program, plan
from sewdsl.passes.plan import ExecutionContext, plan_execution
from tests.effort import factor

BODIES = {
    "SEW": "c6k3-BN-PLIF-{SEW Block (c8)-MPk2s2}*2-FC5",
    "IAND": "c6k3-BN-PLIF-{SEW Block (c8, g=IAND)-MPk2s2}*2-FC5",
    "AND": "c6k3-BN-PLIF-{SEW Block (c8, g=AND)-MPk2s2}*2-FC5",
    "Spiking": "c6k3-BN-PLIF-Spiking Block (c8s2)-APk2-c5k1-tdBN-PLIF-GAP",
    "ANN": "c6k3-BN-ReLU-{Basic Block (c8)}*2-GAP-FC5",
    "one value twice": "c6k3-BN-PLIF-c6k3-ADD[BN-PLIF|id]-c6k3-ADD[id|id]-FC5",
    "no kernel": "c6k3-BN-SN-c6k3-SN-APk2-Flatten-FC5-SN",
}


@pytest.fixture(autouse=True, params=[True, False], ids=["large", "small"])
def _size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param:
        monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", 1)


@cache
def optimized(body: str, encode: str) -> Program:
    return optimize_program(sewdsl.load(body, input="2x8x8", steps=4, neuron="PLIF", set={"encode": encode}))


def build(body: str, encode: str = "none") -> tuple[SpikingNetwork, SpikingNetwork]:
    """A network that keeps what it needs, and one that computes again whatever can be."""
    program = optimized(body, encode)
    again = frozenset(step.gives for step in program.steps)
    return lower(program, seed=0), lower(replace(program, recomputed=again), seed=0)


def step(model: SpikingNetwork, x: Tensor, *, autocast: bool = False) -> dict[str, Tensor]:
    """Loss, gradients and running statistics of a step, and the input's gradient."""
    x = x.clone().requires_grad_()
    torch.manual_seed(3)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = cross_entropy(model(x).float(), torch.arange(3))
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    assert len(gradients) == len([*model.parameters()])
    assert x.grad is not None
    return {"loss": loss.detach(), "x": x.grad, **gradients, **dict(model.named_buffers())}


CASES = [(name, encode, False) for name in BODIES if name != "AND" or factor() > 1 for encode in ("none", "direct")]
CASES += [(name, "none", True) for name in (BODIES if factor() > 1 else ("SEW", "ANN"))]
"""With autocast there are other kernels."""


@pytest.mark.parametrize(("body", "encode", "autocast"), CASES)
def test_to_the_bit(body: str, encode: str, autocast: bool) -> None:  # noqa: FBT001 -- a parameter
    one, other = build(BODIES[body], encode)
    x = torch.rand(*([4] if encode == "none" else []), 3, 2, 8, 8, generator=torch.Generator().manual_seed(1)) * 3
    expected, got = step(one, x, autocast=autocast), step(other, x, autocast=autocast)
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        assert torch.equal(got[name], value), name


def test_less_is_kept_and_each_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _, model = build(BODIES["SEW"])
    x = torch.rand(4, 3, 2, 8, 8)
    step(model, x)  # If a kernel is not compiled yet, the first pass is rehearsed, and the rehearsal recomputes too.
    recomputed: list[saved_tensors.Recomputed] = []
    computed: list[object] = []
    make = saved_tensors.Recomputed.__init__

    def note(self: saved_tensors.Recomputed, compute: object, operands: object) -> None:
        recomputed.append(self)

        def counted(values: object) -> object:
            computed.append(self)
            return compute(values)  # type: ignore[operator]

        make(self, counted, operands)  # type: ignore[arg-type]

    monkeypatch.setattr(saved_tensors.Recomputed, "__init__", note)
    step(model, x)
    steps = plan_execution(model.program, ExecutionContext(4, 3)).steps
    assert len(recomputed) == len(steps)
    assert len(set(map(id, computed))) == len(computed) > len(steps) // 2


def test_nothing_is_held_behind_the_backward_pass() -> None:
    """Not even until the garbage collector comes, and by no operator that keeps its own output."""
    _, model = build(BODIES["SEW"])
    gc.collect()
    loss = model(torch.rand(4, 3, 2, 8, 8)).sum()
    assert any(type(thing) is saved_tensors.Recomputed for thing in gc.get_objects())
    gc.disable()
    try:
        loss.backward()
        assert not any(type(thing) is saved_tensors.Recomputed for thing in gc.get_objects())
    finally:
        gc.enable()


def test_hooks_run_once_and_what_is_watched_is_kept() -> None:
    one, other = build(BODIES["SEW"])
    x = torch.rand(4, 3, 2, 8, 8) * 3
    seen: list[Tensor] = []
    for model in (one, other):
        for module in model.modules():
            if not [*module.children()]:
                module.register_forward_hook(lambda *arguments: seen.append(arguments[-1]))
    expected = step(one, x)
    count = len(seen)
    got = step(other, x)
    assert len(seen) == 2 * count
    assert all(torch.equal(got[name], value) for name, value in expected.items())


def test_what_is_made_of_other_weights_is_kept() -> None:
    """A parametrization may give something else the second time, as spectral norm does, which counts its calls."""

    class Counted(nn.Module):
        calls = 0

        def forward(self, weight: Tensor) -> Tensor:
            self.calls += 1
            return weight

    _, model = build(BODIES["SEW"])
    counted = Counted()
    parametrize.register_parametrization(model.get_submodule("conv1"), "weight", counted)
    counted.calls = 0
    model(torch.rand(4, 3, 2, 8, 8)).sum().backward()
    assert counted.calls == 1
