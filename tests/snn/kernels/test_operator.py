"""The operators and torch: dispatch, compilation, export, gradients of the right things only."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from sewdsl.equations.step import LinearConstants, read_linear
from sewdsl.snn import kernels
from sewdsl.snn.kernels.neuron import on_cpu, operators
from sewdsl.snn.kernels.neuron.layer_call import LayerProgram
from sewdsl.snn.kernels.neuron.plan_kernel import LayerNeedsGrad
from sewdsl.snn.kernels.neuron.tapes import trace_surrogate
from sewdsl.snn.neuron import Neuron
from tests.effort import factor
from tests.snn.kernels.cases import LAYOUTS, current, make
from tests.words import raises

SLOPE = trace_surrogate(make("IF").surrogate) or ""
LAWS = [
    LinearConstants(0.5, 0.5, 0.1, 0.0, 0.8, 0.0, detach_reset=True),
    LinearConstants(1.0, 1.0, 0.0, 0.0, 0.8, None, detach_reset=False),
    LinearConstants(None, 1.0, None, 0.0, 0.8, -0.4, detach_reset=False),
]


@pytest.mark.parametrize("law", LAWS)
def test_a_law_survives_as_text(law: LinearConstants) -> None:
    assert read_linear(law.text()) == law


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's own, from 2.15 on
@pytest.mark.parametrize(
    ("law", "layout", "final"),
    [*product(LAWS[:2], ("row by row", "channels last"), (True, False))]
    if factor() > 1
    else [(LAWS[0], "channels last", True)],
)
def test_opcheck(law: LinearConstants, layout: str, *, final: bool) -> None:
    x_TN = LAYOUTS[layout](current(3, 2, 4, 3, 3)).requires_grad_()
    start = torch.zeros(2, 4, 3, 3).requires_grad_() if final else None
    decay = torch.tensor([0.7], requires_grad=True) if final else None
    text = LayerProgram(((1, 1),) * final, (law._replace(decay=None) if final else law).text(), SLOPE).text()
    torch.library.opcheck(operators.neurons, (x_TN, start, decay, text), {"final": final})
    decay = None if decay is None else decay.detach()
    tensors = torch.ones_like(x_TN), None, x_TN.detach(), None, decay
    torch.library.opcheck(operators.neurons_backward, (*tensors, text, [True, False, final]))


class Stack(nn.Module):
    """Neurons among other layers, with a learnable scalar."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 7)
        self.first, self.second = Neuron(make("PLIF")), Neuron(make("LIF", v_reset=None))

    def forward(self, x_TN: Tensor) -> Tensor:
        return self.second(3 * self.first(2 * self.linear(x_TN))).mean(0)  # type: ignore[no-any-return]


def gradients(module: nn.Module, run: Callable[[Tensor], Tensor], x_TN: Tensor) -> list[Tensor]:
    output = run(x_TN)
    return [output, *torch.autograd.grad(output.square().sum(), list(module.parameters()))]


def test_compiles_in_one_graph() -> None:
    module = Stack()
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    for shape in ((4, 3, 5), (6, 2, 5)):
        for found, expected in zip(
            *(gradients(module, run, current(*shape)) for run in (compiled, module)), strict=True
        ):
            torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("strict", [True, False])
def test_exports(tmp_path: object, *, strict: bool) -> None:
    module, x_TN = Stack(), current(4, 3, 5)
    dynamic = {0: torch.export.Dim("T", min=2, max=64), 1: torch.export.Dim("N", min=2, max=64)}
    exported = torch.export.export(module, (x_TN,), dynamic_shapes=(dynamic,), strict=strict)
    torch.export.save(exported, f"{tmp_path}/net.pt2")
    loaded = torch.export.load(f"{tmp_path}/net.pt2").module()
    assert "sewdsl.neurons.default" in str(exported.graph)
    for shape in ((4, 3, 5), (9, 2, 5)):
        assert torch.equal(loaded(current(*shape)), module(current(*shape)))


def test_a_second_derivative_is_refused() -> None:
    x_TN = current(3, 2, 4).requires_grad_()
    spikes = kernels.run_neurons(make("LIF"), x_TN, {})
    (g_x,) = torch.autograd.grad(spikes.sum(), x_TN, create_graph=True)
    with raises(NotImplementedError):
        g_x.sum().backward()  # type: ignore[no-untyped-call]


def test_only_what_is_needed_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[bool, ...]] = []
    whole = on_cpu.backward

    def spy(call: object, g: object, g_after: object, wanted: LayerNeedsGrad, *, batch: bool) -> object:
        asked.append((wanted.x, wanted.start, wanted.factors))
        results = whole(call, g, g_after, wanted, batch=batch)  # type: ignore[arg-type]
        assert [bool(results.x_TN.numel()), bool(results.start.numel())] == list(asked[-1][:2])
        return results

    monkeypatch.setattr(on_cpu, "backward", spy)
    x_TN, v_N, w = current(3, 2, 4), torch.zeros(2, 4), torch.tensor(0.1)
    for needs in product((True, False), repeat=3):
        if any(needs):
            tensors = [t.clone().requires_grad_(needed) for t, needed in zip((x_TN, v_N, w), needs, strict=True)]
            spikes, _ = kernels.run_neurons_from(make("PLIF"), tensors[0], tensors[1], {"w": tensors[2]})
            spikes.sum().backward()  # type: ignore[no-untyped-call]
            assert [tensor.grad is not None for tensor in tensors] == list(needs)
            assert asked.pop() == needs


def test_only_the_input_is_kept_for_the_backward() -> None:
    kept: list[Tensor] = []
    x_TN = current(8, 2, 64).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):  # type: ignore[func-returns-value]
        kernels.run_neurons(make("PLIF"), x_TN, {"w": torch.tensor(0.0, requires_grad=True)})
    assert [tensor.data_ptr() for tensor in kept if tensor.numel() > 2] == [x_TN.data_ptr()]


def test_an_input_that_changes_before_the_backward_is_noticed() -> None:
    x_TN = current(3, 2, 4).requires_grad_() * 1
    spikes = kernels.run_neurons(make("LIF"), x_TN, {})
    x_TN.add_(1)
    with pytest.raises(RuntimeError, match="inplace"):
        spikes.sum().backward()  # type: ignore[no-untyped-call]
