"""Batch norm and neurons in one operator do what they do one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from sewdsl.ir.op import Neuron
from sewdsl.snn import kernels
from sewdsl.snn.kernels.neuron import operators, partition, reference
from sewdsl.snn.kernels.neuron.layer_call import KernelChannels
from sewdsl.snn.kernels.templates.variant import MAX_WHOLE_PERIOD
from tests.effort import factor
from tests.snn.kernels.cases import LAYOUTS, assert_near, current, make

NEURONS = {
    "PLIF": make("PLIF"),
    "LIF, soft": make("LIF", "Triangle", v_reset=None, detach_reset=False),
    **({"PLIF, through the reset": make("PLIF", v_reset=-0.4, detach_reset=False)} if factor() > 1 else {}),
}
"""Each has kernels of its own."""
EPS = 1e-5


class Layer(NamedTuple):
    """A batch norm and the neurons after it."""

    spec: Neuron
    weight: Tensor
    bias: Tensor
    running: tuple[Tensor, Tensor] | None
    learned: dict[str, Tensor]

    @property
    def parameters(self) -> list[Tensor]:
        return [self.weight, self.bias, *self.learned.values()]


def layer(neuron: str, C: int, dtype: torch.dtype, *, training: bool) -> Layer:
    spec = NEURONS[neuron]
    weight, bias = torch.linspace(0.7, 1.6, C, dtype=dtype), torch.linspace(-0.3, 0.6, C, dtype=dtype)
    running = torch.linspace(0, 1, C, dtype=dtype), torch.linspace(1, 3, C, dtype=dtype)
    learned = {name: torch.tensor(value, dtype=dtype, requires_grad=True) for name, value in spec.learnable().items()}
    return Layer(spec, weight.requires_grad_(), bias.requires_grad_(), None if training else running, learned)


def at_once(layer: Layer, x_TN: Tensor) -> Tensor:
    spec = layer.spec
    if layer.running is None:
        statistics = operators.batch_statistics(x_TN.detach(), None, None, None, 0.1, 1, EPS).unbind()
    else:
        mean, variance = layer.running
        statistics = mean, (variance + EPS).rsqrt()
    kernel = kernels.find_norm_kernel(spec, x_TN, layer.learned)
    assert kernel is not None
    mean, rstd = statistics
    channels = KernelChannels(layer.weight, layer.bias, mean, rstd)
    return kernels.run_norm_neurons(kernel, x_TN, channels, batch=layer.running is None)


def in_turn(layer: Layer, x_TN: Tensor) -> Tensor:
    mean, variance = layer.running or (None, None)
    y = functional.batch_norm(
        x_TN.flatten(0, 1), mean, variance, layer.weight, layer.bias, layer.running is None, 0.1, EPS
    )
    return reference.integrate(layer.spec, y.reshape(x_TN.shape), None, layer.learned)[0]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("training", [True, False])
def test_at_once_as_in_turn(layout: str, neuron: str, *, training: bool) -> None:
    x_TN = LAYOUTS[layout](current(5, 3, 6, 5, 7, dtype=torch.float64)).detach().requires_grad_()
    g_TN = current(5, 3, 6, 5, 7, dtype=torch.float64, seed=1)
    results = []
    for run in (at_once, in_turn):
        norm = layer(neuron, 6, torch.float64, training=training)
        spikes = run(norm, x_TN)
        results.append([spikes, *torch.autograd.grad(spikes, [x_TN, *norm.parameters], g_TN)])
    (found, *found_gradients), (expected, *expected_gradients) = results
    assert 0.05 < expected.mean() < 0.9
    assert torch.equal(found, expected)
    for one, other in zip(found_gradients, expected_gradients, strict=True):
        assert_near(one, other, 1e-12, other.abs().max())


SHAPES = {
    "a long period": (4, 2, 3, 40, 40),
    "a short period": (2, 40, 5, 3, 3),
    "more channels than a block": (2, 9, 300, 4, 4),
    "one channel": (2, 5, 1, 3, 3),
    "maps of one number": (6, 2, 70, 1, 1),
    "no maps": (3, 7, 130),
    "a long period without maps": (2, 20, MAX_WHOLE_PERIOD + 1),
}


CASES = [(name, layout) for name in SHAPES for layout in ("row by row", "channels last") if len(SHAPES[name]) > 3]
CASES += [(name, "row by row") for name in SHAPES if len(SHAPES[name]) == 3]


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.deep)], ids=str
)
@pytest.mark.parametrize(("name", "layout"), CASES)
def test_formats_and_shapes(dtype: torch.dtype, name: str, layout: str) -> None:
    """The spikes are exactly those of the current a · x + b in float32, whatever the format of x."""
    shape = SHAPES[name]
    x_TN = LAYOUTS[layout](current(*shape, dtype=dtype)).requires_grad_()
    norm = layer("PLIF", shape[2], torch.float32, training=True)
    spikes = at_once(norm, x_TN)
    assert spikes.dtype == dtype

    wide_TN = x_TN.detach().float().requires_grad_()
    mean, variance = partition.moments(x_TN.detach())
    places = [0, 1, *range(3, len(shape))]
    torch.testing.assert_close(mean, wide_TN.mean(places))
    torch.testing.assert_close(variance, wide_TN.var(places, correction=0))
    a = norm.weight * (variance + EPS).rsqrt()
    view = [-1, *[1] * (len(shape) - 3)]
    current_TN = wide_TN * a.reshape(view) + (norm.bias - mean * a).reshape(view)
    expected = reference.integrate(norm.spec, current_TN.detach(), None, norm.learned)[0]
    assert torch.equal(spikes.float(), expected)

    found = torch.autograd.grad(spikes, [x_TN, *norm.parameters], torch.ones_like(spikes))
    others = torch.autograd.grad(in_turn(norm, wide_TN), [wide_TN, *norm.parameters], torch.ones_like(wide_TN))
    for one, other in zip(found, others, strict=True):
        assert_near(one, other.to(one.dtype), 1e-3, others[1].abs().max())


@pytest.fixture
def restored() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_sums_do_not_depend_on_the_threads(restored: None) -> None:
    x_TN = current(4, 5, 30, 24, 24).requires_grad_()
    outcomes = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        norm = layer("PLIF", 30, torch.float32, training=True)
        outcomes.append(torch.autograd.grad(at_once(norm, x_TN).sum(), [x_TN, *norm.parameters]))
    for other in outcomes[1:]:
        assert all(torch.equal(one, another) for one, another in zip(outcomes[0], other, strict=True))


def test_only_the_input_and_numbers_for_each_channel_are_kept() -> None:
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    x_TN = current(4, 2, 6, 5, 5).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        at_once(layer("PLIF", 6, torch.float32, training=True), x_TN)
    assert {tensor.data_ptr() for tensor in kept if tensor.numel() > 6} == {x_TN.data_ptr()}


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's own, from 2.15 on
@pytest.mark.parametrize("batch", [True, pytest.param(False, marks=pytest.mark.deep)])
def test_opcheck(*, batch: bool) -> None:
    x_TN = LAYOUTS["channels last"](current(3, 2, 4, 3, 3)).detach().requires_grad_()
    channels = [torch.rand(4) + 0.5 for _ in range(4)]
    kernel = kernels.find_norm_kernel(NEURONS["PLIF"], x_TN, {"w": torch.tensor(0.5)})
    assert kernel is not None
    assert kernel.factors is not None
    factors, text = kernel.factors.requires_grad_(), kernel.program.text()
    running = torch.zeros(4), torch.ones(4), torch.tensor(3)
    for each in (running, (None, None, None)):
        torch.library.opcheck(operators.batch_statistics, (x_TN.detach(), *each, 0.1, 1, EPS))
    torch.library.opcheck(operators.norm_neurons, (x_TN, None, *channels, factors, text), {"batch": batch})
    tensors = torch.ones_like(x_TN), x_TN.detach(), None, *channels, factors.detach()
    wants = [True, True, batch, False]
    torch.library.opcheck(operators.norm_neurons_backward, (*tensors, text, wants), {"batch": batch})
