"""3x3 convolutions by Winograd's algorithm, compared with torch's in float64."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import sewdsl
from sewdsl.lower import lower
from sewdsl.passes import optimize_program
from sewdsl.passes.plan import ExecutionContext, plan_execution
from sewdsl.snn.conv_window import ConvWindow
from sewdsl.snn.convolution import ConvRun, conv2d_low_memory
from sewdsl.snn.kernels import use_kernels
from sewdsl.snn.kernels.convolution import winograd
from sewdsl.snn.kernels.convolution.winograd import Winograd
from tests.effort import examples, factor

WINDOW = ConvWindow((3, 3), (1, 1), (1, 1), (1, 1), 1)
ROUNDING = 4e-6
"""Of a result, compared with the largest number of it."""
OF_A_WINDOW = 2e-5
"""Greatest error of an output, relative to the largest input of its window and the sum over channels of the largest
weights: as docs/rounding.md states it."""


class Case(NamedTuple):
    """A convolution, what it is shown, and the gradient of what it gives."""

    padding: tuple[int, int]
    x: Tensor
    weight: Tensor
    bias: Tensor | None
    g: Tensor

    @property
    def winograd(self) -> Winograd:
        found = Winograd.of(WINDOW._replace(padding=self.padding), self.x, self.weight)
        assert found is not None
        return found

    def in_tiles(self, tile: int) -> list[Tensor]:
        """Output, and gradients of weight and input, of tiles of this size where there are several."""
        winograd = self.winograd._replace(output_tile=tile, input_tile=tile, weight_tile=2)
        results = [
            winograd.forward(self.x, self.weight, self.bias),
            winograd.weight_gradient(self.x, self.weight, self.g),
            winograd.input_gradient(self.weight, self.g),
        ]
        return [result for result in results if result is not None]

    def exact(self) -> list[Tensor]:
        """Output, and gradients of weight and input."""
        x, weight = (each.double().requires_grad_() for each in (self.x, self.weight))
        bias = None if self.bias is None else self.bias.double()
        y = functional.conv2d(x, weight, bias, padding=self.padding)
        return [y.detach(), *torch.autograd.grad(y, (weight, x), self.g.double())]


def last(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator).contiguous(memory_format=torch.channels_last)


PAIRS = [(8, 24), (64, 128)]
"""Channels and outputs: few, since each pair has kernels of its own."""
TILED = [(PAIRS[0], 4), (PAIRS[1], 2), (PAIRS[1], 4)] if factor() <= 1 else [*product(PAIRS, (2, 4))]
"""The pairs with the heights of tiles."""


@st.composite
def cases(draw: st.DrawFn) -> tuple[Case, int]:
    """Draw convolutions of any size, most of them small, and the height of a tile."""
    padding = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    height, width = (draw(st.integers(max(1, 3 - 2 * p), 13)) for p in padding)
    (channels, outputs), tile = draw(st.sampled_from(TILED))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    x = last((draw(st.integers(1, 20)), channels, height, width), generator)
    weight = torch.randn(outputs, channels, 3, 3, generator=generator)
    if draw(st.booleans()):
        weight = weight.contiguous(memory_format=torch.channels_last)
    bias = torch.randn(outputs, generator=generator) if draw(st.booleans()) else None
    shape = x.shape[0], outputs, height + 2 * padding[0] - 2, width + 2 * padding[1] - 2
    g = last(shape, generator) if draw(st.booleans()) else torch.randn(shape, generator=generator)
    return Case(padding, x, weight, bias, g), tile


@pytest.fixture
def _whatever_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "LEAST_GAIN", 1e-9)
    monkeypatch.setattr(winograd, "LEAST_PRODUCTS", 0)


@pytest.mark.usefixtures("_whatever_the_size")
@examples(25)
@given(cases())
def test_results(case_and_tile: tuple[Case, int]) -> None:
    """Output and gradients, channels last and laid out as the weight is."""
    case, tile = case_and_tile
    found = case.in_tiles(tile)
    for result, wanted in zip(found, case.exact(), strict=True):
        size = float(wanted.abs().max()) + 1
        torch.testing.assert_close(result.double(), wanted, rtol=0, atol=size * ROUNDING)
    assert found[0].is_contiguous(memory_format=torch.channels_last)
    assert found[1].stride() == case.weight.stride()
    assert found[2].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.usefixtures("_whatever_the_size")
@examples(25)
@given(cases(), st.integers(0, 99))
def test_no_output_drowns_in_its_tile(case_and_tile: tuple[Case, int], seed: int) -> None:
    """Errors are relative to the inputs of the output's own window, whatever else is in the tile; zeros stay zeros."""
    case, tile = case_and_tile
    generator = torch.Generator().manual_seed(seed)
    decades = torch.randint(-6, 7, (case.x.shape[0], 1, *case.x.shape[2:]), generator=generator)
    x = case.x * 10.0**decades * (torch.rand(decades.shape, generator=generator) < 0.3)
    case = case._replace(x=x.contiguous(memory_format=torch.channels_last), bias=None)
    (y, *_), (exact, *_) = case.in_tiles(tile), case.exact()
    windows = functional.max_pool2d(
        functional.pad(x.abs().amax(1), (case.padding[1],) * 2 + (case.padding[0],) * 2), 3, 1
    )
    scale = windows[:, None] * case.weight.abs().amax((2, 3)).sum(1).view(-1, 1, 1)
    assert ((y - exact).abs() <= OF_A_WINDOW * scale).all()
    assert not y[(windows == 0)[:, None].expand_as(y)].any()


def drawn(N: int = 9, channels: int = 64, outputs: int = 64, size: int = 20) -> Case:
    generator = torch.Generator().manual_seed(0)
    x, g = last((N, channels, size, size), generator), last((N, outputs, size, size), generator)
    return Case((1, 1), x, torch.randn(outputs, channels, 3, 3, generator=generator), None, g)


@pytest.mark.usefixtures("_whatever_the_size")
def test_vectors_of_8(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test simulates a processor with AVX2 only."""
    case = drawn(channels=24, outputs=8, size=9)
    monkeypatch.setattr(winograd, "has_instructions", lambda _name: False)
    assert case.winograd.vector == 8
    for result, wanted in zip(case.in_tiles(4), case.exact(), strict=True):
        torch.testing.assert_close(result.double(), wanted, rtol=0, atol=float(wanted.abs().max()) * ROUNDING)


@pytest.mark.parametrize("tile", [2, 4])
def test_rounding(tile: int) -> None:
    """Errors (rms) are those that docs/rounding.md states, in those of a plain sum in float32."""
    case = drawn()
    x, weight = (each.clone().requires_grad_() for each in (case.x, case.weight))
    y = functional.conv2d(x, weight, padding=1)
    dense = [y.detach(), *torch.autograd.grad(y, (weight, x), case.g)]
    most = {4: (2.5, 2.5, 2.5), 2: (1.2, 2.5, 1.2)}[tile]
    for result, plain, exact, times in zip(case.in_tiles(tile), dense, case.exact(), most, strict=True):
        own, theirs = ((each - exact).square().mean().sqrt() for each in (result, plain))
        assert own < times * max(theirs, 2e-7 * exact.square().mean().sqrt())


def test_gradients_of_several_groups_of_tiles() -> None:
    """Weight gradients are added up at the end."""
    case = drawn(N=40, size=13)
    found, wanted = case.in_tiles(4)[1], case.exact()[1]
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=float(wanted.abs().max()) * ROUNDING)


def test_threads_change_no_bit() -> None:
    case, before = drawn(N=40, size=13), torch.get_num_threads()
    chosen, found = case.winograd, []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            assert case.winograd == chosen
            found.append(case.in_tiles(4))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(map(torch.equal, other, found[0]))


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e37])
def test_what_is_not_finite_stays_in_its_window(value: float, tile: int) -> None:
    """Outputs are finite where those of a dense convolution are; gradients of the weight are its own."""
    case = drawn(size=16)
    case.x[2, 3, 6, 6] = value
    case.g[1, 5, 3, 8] = value
    x, weight = case.x.clone().requires_grad_(), case.weight.clone().requires_grad_()
    y = functional.conv2d(x, weight, padding=1)
    g_weight, g_x = torch.autograd.grad(y, (weight, x), case.g)
    winograd = case.winograd._replace(output_tile=tile, input_tile=tile)
    results = winograd.forward(case.x, case.weight, None), winograd.input_gradient(case.weight, case.g)
    for result, dense in zip(results, (y.detach(), g_x), strict=True):
        assert result is not None
        assert torch.equal(result.isfinite(), dense.isfinite())
        torch.testing.assert_close(result, dense, rtol=1e-4, atol=1e-3, equal_nan=True)
    by_tiles = winograd.weight_gradient(case.x, case.weight, case.g)
    assert by_tiles is None or torch.equal(by_tiles.isfinite(), g_weight.isfinite())


def test_many_doubts_take_the_dense_way() -> None:
    """The number of plain sums equals that for a feature map with a large value in each tile."""
    case = drawn(size=16)
    x = case.x.clone()
    x[:, :, ::4, ::4] *= 1e6
    case = case._replace(x=x.contiguous(memory_format=torch.channels_last))
    y, exact = case.in_tiles(4)[0], case.exact()[0]
    windows = functional.max_pool2d(functional.pad(x.abs().amax(1), (1, 1, 1, 1)), 3, 1)[:, None]
    scale = windows * case.weight.abs().amax((2, 3)).sum(1).view(-1, 1, 1)
    assert ((y - exact).abs() <= OF_A_WINDOW * scale).all()


def test_the_choice_depends_on_sizes() -> None:
    """Large maps are computed in tiles of 4x4, the smallest in tiles of 2x2, and few products not in tiles."""

    def tiles(N: int, channels: int, size: int) -> tuple[int, ...]:
        found = Winograd.of(
            WINDOW, last((N, channels, size, size), torch.Generator()), torch.empty(channels, channels, 3, 3)
        )
        return (0, 0, 0) if found is None else found[2:]

    assert tiles(16, 64, 56) == (4, 2, 4)
    assert tiles(16, 512, 2) == (2, 2, 2)
    assert tiles(1, 512, 1) == (0, 0, 0)
    assert tiles(1, 16, 12) == (0, 0, 0)
    assert tiles(1, 512, 3)[0] == 0


@pytest.mark.parametrize(
    ("window", "shape", "outputs"),
    [
        (WINDOW._replace(groups=2), (9, 16, 12, 12), 16),
        (WINDOW._replace(dilation=(2, 2)), (9, 16, 12, 12), 16),
        (WINDOW._replace(stride=(2, 2)), (9, 16, 12, 12), 16),
        (WINDOW._replace(kernel=(1, 1), padding=(0, 0)), (9, 16, 12, 12), 16),
        (WINDOW._replace(padding="same"), (9, 16, 12, 12), 16),
        (WINDOW._replace(padding=(3, 3)), (9, 16, 12, 12), 16),
        (WINDOW, (9, 12, 12, 12), 16),
        (WINDOW, (9, 16, 12, 12), 12),
        (WINDOW, (1, 16, 12, 12), 16),  # few tiles
        (WINDOW, (9, 16, 2, 2), 16),  # few products
        (WINDOW, (0, 16, 12, 12), 16),
    ],
)
def test_there_is_no_kernel(window: ConvWindow, shape: tuple[int, ...], outputs: int) -> None:
    x = torch.zeros(shape).contiguous(memory_format=torch.channels_last)
    weight = torch.zeros(outputs, shape[1] // window.groups, *window.kernel)
    assert Winograd.of(window, x, weight) is None


def test_there_is_none_for_other_formats_and_devices() -> None:
    x, weight = drawn()[1:3]
    assert Winograd.of(WINDOW, x, weight) is not None
    assert Winograd.of(WINDOW, x.contiguous(), weight) is None
    assert Winograd.of(WINDOW, x.double(), weight.double()) is None
    assert Winograd.of(WINDOW, x.bfloat16(), weight.bfloat16()) is None
    assert Winograd.of(WINDOW, x.to("meta"), weight.to("meta")) is None
    with use_kernels("reference"):
        assert Winograd.of(WINDOW, x, weight) is None


def test_in_a_layer() -> None:
    """Only where it is asked for; the gradient of the bias too."""
    case = drawn()
    exact: list[Tensor] = []
    found: list[Tensor] = []
    for run, results in ((ConvRun(winograd=True), found), (ConvRun(frees_input=True), exact)):
        x, weight, bias = (each.clone().requires_grad_() for each in (case.x, case.weight, torch.ones(64)))
        y = conv2d_low_memory(WINDOW, weight, bias, x, run)
        results += [y.detach(), *torch.autograd.grad(y, (x, weight, bias), case.g)]
    assert not torch.equal(found[0], exact[0])
    for result, wanted in zip(found, exact, strict=True):
        torch.testing.assert_close(result, wanted, rtol=0, atol=float(wanted.abs().max()) * 1e-5)


def test_sparse_inputs_go_by_events() -> None:
    """Up to the share of active inputs at which events are as fast."""
    weight = torch.randn(64, 64, 3, 3)
    told: list[bool] = []
    for active in (0.1, 0.17, 0.5):
        x = (torch.rand(8, 64, 24, 24, generator=torch.Generator().manual_seed(1)) < active).float()
        x = x.contiguous(memory_format=torch.channels_last)
        for by_winograd in (True, False):
            run = ConvRun(events="spikes", exact=False, winograd=by_winograd, tell=told.append)
            y = conv2d_low_memory(WINDOW, weight, None, x, run)
            torch.testing.assert_close(y, functional.conv2d(x, weight, padding=1), rtol=1e-4, atol=1e-3)
    assert told == [True, True, False, True, False, False]


TEXT = "c64k3-BN-ReLU-{c64k3-BN-ReLU}*2-c32k3s2-BN-ReLU-FC5"


def outcome(model: nn.Module, x: Tensor) -> list[Tensor]:
    y = model(x)
    y.square().sum().backward()
    return [y.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]


def test_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """At level 2 alone, of windows that go on by 1, and the same apart from rounding; not within torch's compiler."""
    ran: list[int] = []
    forward = Winograd.forward

    def noted(self: Winograd, x: Tensor, *arguments: Tensor) -> Tensor | None:
        ran.append(x.shape[1])
        return forward(self, x, *arguments)

    monkeypatch.setattr(Winograd, "forward", noted)
    network = sewdsl.load(TEXT, input="3x16x16", steps=2)
    x = torch.randn(2, 3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    found = {level: outcome(lower(optimize_program(network, level), seed=0), x) for level in (1, 2)}
    assert ran == [64, 64]
    torch.testing.assert_close(found[2], found[1], rtol=1e-4, atol=1e-4)
    steps = plan_execution(optimize_program(network, 2), ExecutionContext(2, 3)).steps
    assert [step.winograd for step in steps if len(step.nodes) == 1].count(True) == 2
    for context in (ExecutionContext(2, 3, device="cuda"), ExecutionContext(2, 3, compiling=True)):
        assert not any(step.winograd for step in plan_execution(optimize_program(network, 2), context).steps)
