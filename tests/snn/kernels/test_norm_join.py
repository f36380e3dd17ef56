"""A join in the kernel that normalises and fires does what it does by itself."""

from __future__ import annotations

from copy import deepcopy
from itertools import product
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from sewdsl.snn import kernels
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.join import Join, PendingJoin
from sewdsl.snn.kernels.neuron import operators
from sewdsl.snn.kernels.neuron.layer_call import read_program
from sewdsl.snn.kernels.neuron.tapes import trace_join
from sewdsl.snn.neuron import Neuron
from sewdsl.snn.protocols import JoinSpec
from tests.effort import factor
from tests.snn.kernels.cases import LAYOUTS, assert_near, current, make
from tests.snn.kernels.test_joining import JOINS, OTHERS, UNTRACEABLE

SHAPE = (5, 3, 6, 5, 7)
EPS = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 2**-8, torch.float16: 2**-11}


class Layer(nn.Module):
    """A batch norm, the neurons after it and the join that takes their spikes."""

    def __init__(self, join: JoinSpec, *, branch: bool, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        neuron = Neuron(make("PLIF", tau=3.7))  # decay and gain differ, which a tau of 2 would hide
        self.norm, self.neuron, self.join = BatchNorm(SHAPE[2]), neuron, Join(join)
        self.branch = branch
        nn.init.uniform_(self.norm.weight, 0.7, 1.6, torch.Generator().manual_seed(3))
        self.to(dtype)

    def forward(self, x_TN: Tensor, other_TN: Tensor) -> Tensor:
        """Compute norm, neuron and join one after the other."""
        spikes_TN = self.neuron(self.norm(x_TN))
        y_TN: Tensor = self.join(spikes_TN, other_TN) if self.branch else self.join(other_TN, spikes_TN)
        return y_TN

    def at_once(self, x_TN: Tensor, other_TN: Tensor) -> Tensor:
        """Compute norm, neuron and join in one kernel, if possible."""
        return self.neuron.normalised(x_TN, self.norm, PendingJoin(self.join, other_TN, self.branch))


class Outcome(NamedTuple):
    """Results of a case."""

    y: Tensor
    gradients: dict[str, Tensor | None]
    state: dict[str, Tensor]


def spikes(*shape: int, dtype: torch.dtype = torch.float64, most: int = 1) -> Tensor:
    return torch.randint(0, most + 1, shape, generator=torch.Generator().manual_seed(5)).to(dtype)


def outcome(layer: Layer, x_TN: Tensor, other_TN: Tensor, *, at_once: bool) -> Outcome:
    layer = deepcopy(layer)
    x_TN, other_TN = x_TN.detach().requires_grad_(), other_TN.detach().requires_grad_()
    y_TN = layer.at_once(x_TN, other_TN) if at_once else layer(x_TN, other_TN)
    g_TN = current(*SHAPE, dtype=y_TN.dtype, seed=1)
    y_TN.backward(g_TN)
    gradients = {name: weight.grad for name, weight in layer.named_parameters()}
    return Outcome(y_TN, {"x": x_TN.grad, "other": other_TN.grad, **gradients}, layer.state_dict())


def assert_same(layer: Layer, x_TN: Tensor, other_TN: Tensor, tolerance: float) -> None:
    found, expected = (outcome(layer, x_TN, other_TN, at_once=at_once) for at_once in (True, False))
    assert found.y.dtype == expected.y.dtype
    assert torch.equal(found.y, expected.y)
    for name, one in found.gradients.items():
        other = expected.gradients[name]
        assert one is not None
        assert other is not None
        assert_near(one, other, tolerance, other.abs().max())
    torch.testing.assert_close(found.state, expected.state)


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tapes of joins that were computed by the kernel."""
    tapes: list[str] = []
    run = operators.norm_neurons

    def noted(*arguments: object, batch: bool) -> Tensor:
        tapes.append(read_program(str(arguments[-1])).join)
        y: Tensor = run(*arguments, batch=batch)
        return y

    monkeypatch.setattr(operators, "norm_neurons", noted)
    return tapes


SHIPPED = [*JOINS] if factor() > 1 else ["ADD", "IAND"]
FUSED = [*SHIPPED, *(["the greater", "a quotient"] if factor() > 1 else [])]
TURNED = FUSED if factor() > 1 else ["a quotient"]
"""Joins of which it matters which operand has the spikes. Each way has kernels of its own, which take seconds."""


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("name", "branch"), [*((name, True) for name in FUSED), *((name, False) for name in TURNED)])
def test_at_once_as_in_turn(name: str, fused: list[str], *, branch: bool, training: bool) -> None:
    layer = Layer((JOINS | OTHERS)[name], branch=branch).train(training)
    x_TN = current(*SHAPE, dtype=torch.float64)
    assert_same(layer, x_TN, spikes(*SHAPE, most=3 if name in OTHERS else 1), 1e-12)
    assert fused[0]


@pytest.mark.parametrize("branch", [True, pytest.param(False, marks=pytest.mark.deep)])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("other_layout", LAYOUTS)
def test_layouts(layout: str, other_layout: str, *, branch: bool) -> None:
    """The result is laid out as what is normalised, whatever the other operand is like."""
    x_TN, other_TN = LAYOUTS[layout](current(*SHAPE, dtype=torch.float64)), LAYOUTS[other_layout](spikes(*SHAPE))
    layer = Layer(JOINS["IAND"], branch=branch).eval()
    assert_same(layer, x_TN, other_TN, 1e-12)
    kernel = kernels.find_norm_kernel(layer.neuron.spec, x_TN, layer.neuron.learned)
    assert kernel is not None
    plain = kernels.run_norm_neurons(kernel, x_TN, layer.norm.channels(x_TN), batch=layer.norm.training)
    assert layer.at_once(x_TN, other_TN).stride() == plain.stride()


SOME = [(torch.float32, "IAND"), (torch.bfloat16, "IAND")]


@pytest.mark.parametrize(
    ("dtype", "name"),
    [*product([torch.float32, torch.bfloat16, torch.float16], JOINS)] if factor() > 1 else SOME,
)
def test_formats(name: str, dtype: torch.dtype) -> None:
    """Against float64, from the same rounded numbers; statistics out of the way, spikes are the same."""
    layer, wide = (Layer(JOINS[name], branch=True, dtype=number).eval() for number in (torch.float32, torch.float64))
    x_TN, other_TN = current(*SHAPE, dtype=dtype), spikes(*SHAPE, dtype=dtype)
    found = outcome(layer, x_TN, other_TN, at_once=True)
    expected = outcome(wide, x_TN.double(), other_TN.double(), at_once=False)
    assert found.y.dtype == dtype
    assert torch.equal(found.y.double(), expected.y)
    if dtype is torch.float32:
        for key, one in found.gradients.items():
            other = expected.gradients[key]
            assert one is not None
            assert other is not None
            assert_near(one, other.float(), 1e-6, other.abs().max())


@pytest.mark.parametrize("T", [1, 2])
def test_few_steps(T: int) -> None:
    x_TN, other_TN = current(T, *SHAPE[1:], dtype=torch.float64), spikes(T, *SHAPE[1:])
    layer = Layer(OTHERS["a quotient"], branch=False)
    torch.testing.assert_close(layer.at_once(x_TN, other_TN), deepcopy(layer)(x_TN, other_TN))


@pytest.mark.parametrize("name", SHIPPED)
def test_one_tensor_for_both(name: str, fused: list[str]) -> None:
    """The input of the norm is also the other operand."""
    gradients: list[Tensor] = []
    for at_once in (True, False):
        layer = Layer(JOINS[name], branch=True)
        x_TN = current(*SHAPE, dtype=torch.float64).requires_grad_()
        y_TN = layer.at_once(x_TN, x_TN) if at_once else layer(x_TN, x_TN)
        gradients += torch.autograd.grad((y_TN * current(*SHAPE, dtype=torch.float64, seed=2)).sum(), x_TN)
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-10)
    assert len(fused) == 1


@pytest.mark.parametrize("wanted", ["x", pytest.param("other", marks=pytest.mark.deep), "weight"])
@pytest.mark.parametrize("name", JOINS if factor() > 1 else ["IAND"])  # a kernel each, which takes seconds
def test_each_gradient_by_itself(name: str, wanted: str) -> None:
    found: list[Tensor] = []
    for at_once in (True, False):
        layer = Layer(JOINS[name], branch=True).requires_grad_(requires_grad=False)
        tensors = {"x": current(*SHAPE, dtype=torch.float64), "other": spikes(*SHAPE), "weight": layer.norm.weight}
        tensors[wanted].requires_grad_()
        y_TN = (layer.at_once if at_once else layer)(tensors["x"], tensors["other"])
        found += torch.autograd.grad(y_TN, tensors[wanted], current(*SHAPE, dtype=torch.float64, seed=1))
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-10)


def kept(layer: Layer, x_TN: Tensor, other_TN: Tensor) -> set[int]:
    """Return the storage of the feature maps that are saved for the gradient."""
    found: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        layer.at_once(x_TN, other_TN)
    return {tensor.data_ptr() for tensor in found if tensor.numel() > SHAPE[2]}


@pytest.mark.parametrize("name", SHIPPED)
def test_what_is_kept(name: str) -> None:
    """No spikes; and the other operand only where a gradient depends on it."""
    x_TN = current(*SHAPE, dtype=torch.float64).requires_grad_()
    other_TN = spikes(*SHAPE).requires_grad_()
    own = {x_TN.data_ptr()} if name == "ADD" else {x_TN.data_ptr(), other_TN.data_ptr()}
    assert kept(Layer(JOINS[name], branch=True), x_TN, other_TN) == own


def test_the_gradient_of_an_addend_is_passed_on() -> None:
    x_TN, other_TN = (each.requires_grad_() for each in (current(*SHAPE, dtype=torch.float64), spikes(*SHAPE)))
    g_TN = current(*SHAPE, dtype=torch.float64, seed=1)
    y_TN = Layer(JOINS["ADD"], branch=True).at_once(x_TN, other_TN)
    (found,) = torch.autograd.grad(y_TN, other_TN, g_TN)
    assert found.data_ptr() == g_TN.data_ptr()


@pytest.mark.parametrize("name", UNTRACEABLE)
def test_what_cannot_be_traced_runs_by_itself(name: str, fused: list[str]) -> None:
    layer = Layer(UNTRACEABLE[name], branch=True)
    if name == "a branch":
        with pytest.raises(RuntimeError):
            layer.at_once(current(*SHAPE, dtype=torch.float64), spikes(*SHAPE))
    else:
        x_TN, other_TN = current(*SHAPE, dtype=torch.float64), spikes(*SHAPE)
        assert torch.equal(
            torch.as_tensor(deepcopy(layer).at_once(x_TN, other_TN)), torch.as_tensor(layer(x_TN, other_TN))
        )
    assert fused == [""]


@pytest.mark.parametrize(
    ("x_format", "other_format", "together"),
    [(torch.float32, torch.bfloat16, True), (torch.bfloat16, torch.float32, False)],
)
def test_two_formats(x_format: torch.dtype, other_format: torch.dtype, fused: list[str], *, together: bool) -> None:
    """The result has the greater; the kernel knows only that of what is normalised."""
    layer = Layer(JOINS["IAND"], branch=True, dtype=torch.float32).eval()
    x_TN, other_TN = current(*SHAPE, dtype=x_format), spikes(*SHAPE, dtype=other_format)
    found = outcome(layer, x_TN, other_TN, at_once=True)
    expected = layer(x_TN, other_TN)
    assert found.y.dtype == expected.dtype == torch.float32
    torch.testing.assert_close(found.y.mean(), expected.mean(), rtol=0.01, atol=0)
    assert found.gradients["other"] is not None
    assert found.gradients["other"].dtype == other_format
    assert bool(fused[0]) == together


def test_another_shape_runs_by_itself(fused: list[str]) -> None:
    layer, x_TN, other_TN = Layer(JOINS["ADD"], branch=True), current(*SHAPE, dtype=torch.float64), spikes(SHAPE[-1])
    torch.testing.assert_close(layer.at_once(x_TN, other_TN), deepcopy(layer)(x_TN, other_TN))
    assert fused == [""]


def test_gradients_do_not_depend_on_the_threads() -> None:
    shape, before, outcomes = (4, 5, 6, 64, 64), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            layer = Layer(JOINS["IAND"], branch=True, dtype=torch.float32)
            x_TN, other_TN = (current(*shape, seed=seed).requires_grad_() for seed in (1, 2))
            y_TN = layer.at_once(x_TN, other_TN)
            outcomes.append([y_TN, *torch.autograd.grad(y_TN.sum(), [x_TN, other_TN, *layer.parameters()])])
    finally:
        torch.set_num_threads(before)
    for other in outcomes[1:]:
        assert all(torch.equal(one, another) for one, another in zip(outcomes[0], other, strict=True))


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's own, from 2.15 on
@pytest.mark.parametrize("name", ["IAND", pytest.param("ADD", marks=pytest.mark.deep)])
def test_opcheck(name: str) -> None:
    x, other = (
        LAYOUTS["channels last"](current(3, 2, 4, 3, 3, seed=seed)).detach().requires_grad_() for seed in (0, 1)
    )
    channels = [torch.rand(4) + 0.5 for _ in range(4)]
    kernel = kernels.find_norm_kernel(make("PLIF"), x, {"w": torch.tensor(0.5)})
    assert kernel is not None
    assert kernel.factors is not None
    factors, tape = kernel.factors.requires_grad_(), trace_join(JOINS[name], branch=True)
    assert tape is not None
    text = kernel.program._replace(join=tape).text()
    torch.library.opcheck(operators.norm_neurons, (x, other, *channels, factors, text), {"batch": True})
    tensors = torch.ones_like(x), x.detach(), other.detach(), *channels, factors.detach()
    wants = [True, True, True, name == "IAND"]
    torch.library.opcheck(operators.norm_neurons_backward, (*tensors, text, wants), {"batch": True})
