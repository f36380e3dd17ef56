"""The operators and torch: dispatch, compilation, export, gradients of the right things only."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from sewdsl.snn import kernels
from sewdsl.snn.kernels import cpu_neuron, torch_operators
from sewdsl.snn.kernels.neuron_call import NeuronConstants, parse_constants
from sewdsl.snn.kernels.tapes import trace_surrogate
from sewdsl.snn.neuron import Neuron
from tests.snn.kernels.cases import LAYOUTS, current, make

SLOPE = trace_surrogate(make("IF").surrogate) or ""
LAWS = [
    NeuronConstants(0.5, 0.5, 0.1, 0.0, 0.8, 0.0, True, SLOPE),  # noqa: FBT003 -- in the order of the class
    NeuronConstants(1.0, 1.0, 0.0, 0.0, 0.8, None, False, SLOPE),  # noqa: FBT003
]


@pytest.mark.parametrize("law", LAWS)
def test_a_law_survives_as_text(law: NeuronConstants) -> None:
    assert parse_constants(law.text()) == law


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's own, from 2.15 on
@pytest.mark.parametrize(
    ("law", "layout", "final"), list(product(LAWS, ("row by row", "channels last"), (True, False)))
)
def test_opcheck(law: NeuronConstants, layout: str, *, final: bool) -> None:
    x_TN = LAYOUTS[layout](current(3, 2, 4, 3, 3)).requires_grad_()
    v_N = torch.zeros(2, 4, 3, 3).requires_grad_() if final else None
    decay = torch.tensor(0.7, requires_grad=True) if final else None
    torch.library.opcheck(torch_operators.neuron, (x_TN, v_N, decay, None, None, law.text()), {"final": final})
    tensors = torch.ones_like(x_TN), None, x_TN.detach(), None, torch.tensor(0.7), None, None
    torch.library.opcheck(torch_operators.neuron_backward, (*tensors, law.text(), [True, False, final]))


class Stack(nn.Module):
    """Neurons among other layers, with a learnable scalar."""

    def __init__(self, surrogate: str = "ATan") -> None:
        super().__init__()
        self.linear = nn.Linear(5, 7)
        self.first, self.second = Neuron(make("PLIF", surrogate)), Neuron(make("LIF", surrogate, v_reset=None))

    def forward(self, x_TN: Tensor) -> Tensor:
        return self.second(3 * self.first(2 * self.linear(x_TN))).mean(0)  # type: ignore[no-any-return]


def gradients(module: nn.Module, run: Callable[[Tensor], Tensor], x_TN: Tensor) -> list[Tensor]:
    output = run(x_TN)
    return [output, *torch.autograd.grad(output.square().sum(), list(module.parameters()))]


@pytest.mark.parametrize("surrogate", ["ATan", "Triangle"])
@pytest.mark.parametrize("backend", ["aot_eager"])
def test_compiles_in_one_graph(surrogate: str, backend: str) -> None:
    module = Stack(surrogate)
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, backend=backend)
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
    assert "sewdsl.neuron.default" in str(exported.graph)
    for shape in ((4, 3, 5), (9, 2, 5)):
        assert torch.equal(loaded(current(*shape)), module(current(*shape)))


def test_a_second_derivative_is_refused() -> None:
    x_TN = current(3, 2, 4).requires_grad_()
    spikes = kernels.run_neurons(make("LIF"), x_TN, {})
    (g_x,) = torch.autograd.grad(spikes.sum(), x_TN, create_graph=True)
    with pytest.raises(NotImplementedError, match="kernels have no second derivatives"):
        g_x.sum().backward()  # type: ignore[no-untyped-call]


def test_only_what_is_needed_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[bool, ...]] = []
    whole = cpu_neuron.backward

    def spy(work: object, g_spikes: object, g_final: object, wants: object) -> object:
        asked.append(tuple(wants))  # type: ignore[arg-type]
        results = whole(work, g_spikes, g_final, wants)  # type: ignore[arg-type]
        assert [bool(result.numel()) for result in results[:2]] == list(asked[-1][:2])
        return results

    monkeypatch.setattr(cpu_neuron, "backward", spy)
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
    assert [tensor.data_ptr() for tensor in kept if tensor.ndim] == [x_TN.data_ptr()]


def test_an_input_that_changes_before_the_backward_is_noticed() -> None:
    x_TN = current(3, 2, 4).requires_grad_() * 1
    spikes = kernels.run_neurons(make("LIF"), x_TN, {})
    x_TN.add_(1)
    with pytest.raises(RuntimeError, match="inplace"):
        spikes.sum().backward()  # type: ignore[no-untyped-call]
