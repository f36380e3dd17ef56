"""The neuron and join modules: names, no hidden state, one step at a time, the ways of torch."""

from __future__ import annotations

import copy
import io
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from sewdsl.ir.op import Join, Neuron
from sewdsl.ops import catalogue
from sewdsl.snn.neuron import Neuron as Module
from sewdsl.snn.runtime import Runtime
from sewdsl.snn.streamed_past import StreamedPast

NEURONS = list(product(("IF", "LIF", "PLIF"), (0.0, -0.5, None)))


def neuron(kind: str, v_reset: float | None = 0.0) -> Module:
    spec = catalogue()[kind].model_validate({"v_reset": v_reset})
    assert isinstance(spec, Neuron)
    return Runtime.Neuron(spec)


def current(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)) + 0.7


@pytest.mark.parametrize(("kind", "v_reset"), NEURONS)
def test_steps_equal_the_sequence_exactly(kind: str, v_reset: float | None) -> None:
    module, x = neuron(kind, v_reset), current(9, 2, 3, 4, 4)
    past = StreamedPast(0)
    for t, spikes in enumerate(module(x), start=1):
        assert torch.equal(module(x[t - 1 : t], past=past)[0], spikes)
        assert past.after is not None
        past = StreamedPast(t, past.after)
    assert module(x).mean() > 0.05


@pytest.mark.parametrize(("kind", "v_reset"), NEURONS)
def test_no_state_survives_a_forward(kind: str, v_reset: float | None) -> None:
    module, x = neuron(kind, v_reset), current(5, 2, 40)
    before = set(vars(module))
    first = module(x)
    module(current(3, 7, 11))
    assert torch.equal(module(x), first)
    assert set(vars(module)) == before
    assert not dict(module.named_buffers())


def test_only_learnable_scalars_are_stored() -> None:
    assert list(neuron("LIF").state_dict()) == []
    assert list(neuron("PLIF").state_dict()) == ["w"]
    assert neuron("PLIF").state_dict()["w"].shape == ()


def test_it_starts_from_rest() -> None:
    for v_reset, rest in ((-0.5, -0.5), (None, 0)):
        past = StreamedPast(0)
        neuron("IF", v_reset)(torch.zeros(1, 2, 3), past=past)
        assert past.after is not None
        assert (past.after == rest).all()


@pytest.mark.parametrize(("kind", "v_reset"), NEURONS)
def test_it_pickles_copies_and_loads(kind: str, v_reset: float | None) -> None:
    module, x = neuron(kind, v_reset), current(5, 2, 40)
    for parameter in module.parameters():
        nn.init.constant_(parameter, 0.3)
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    fresh = neuron(kind, v_reset)
    fresh.load_state_dict(module.state_dict(), strict=True)
    for other in (copy.deepcopy(module), torch.load(file, weights_only=False), fresh):
        assert torch.equal(other(x), module(x))


@pytest.mark.parametrize(
    "surrogate",
    [
        "ATan",
        *(pytest.param(name, marks=pytest.mark.deep) for name in ("Constant", "Rectangular", "Sigmoid", "Triangle")),
    ],
)
def test_it_compiles_and_exports_in_one_graph(surrogate: str) -> None:
    spec = catalogue()["PLIF"].model_validate({"surrogate": catalogue()[surrogate]()})
    assert isinstance(spec, Neuron)
    module, x = Runtime.Neuron(spec), current(4, 2, 30)
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    gradients: list[Tensor] = []
    for run in (module, compiled):
        x_TN = x.clone().requires_grad_()
        gradients.extend(torch.autograd.grad(run(x_TN).sum(), x_TN))
    torch.testing.assert_close(*gradients)
    exported = torch.export.export(module, (x,)).module()
    assert torch.equal(exported(x), module(x))


def test_it_prints_its_arguments() -> None:
    assert str(neuron("LIF", None)).startswith("Neuron(LIF(")
    assert "v_reset=none" in str(neuron("LIF", None))


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        ("ADD", {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 2}),
        ("AND", {(0, 0): 0, (0, 1): 0, (1, 0): 0, (1, 1): 1}),
        ("IAND", {(0, 0): 0, (0, 1): 1, (1, 0): 0, (1, 1): 0}),
    ],
)
def test_a_join_follows_its_truth_table(kind: str, table: dict[tuple[int, int], int]) -> None:
    spec = catalogue()[kind]()
    assert isinstance(spec, Join)
    module = Runtime.Join(spec)
    for (branch, identity), expected in table.items():
        assert module(torch.tensor([float(branch)]), torch.tensor([float(identity)])).item() == expected
    assert str(module) == f"Join({kind})"
