"""Convolutions by events, compared with torch's in float64, and with torch's own sums to the bit."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_weight

import sewdsl
from sewdsl.lower import lower
from sewdsl.passes import optimize_program, plan
from sewdsl.snn import convolution
from sewdsl.snn.conv_window import ConvWindow
from sewdsl.snn.convolution import ConvRun, conv2d_low_memory
from sewdsl.snn.kernels import use_kernels
from sewdsl.snn.kernels.convolution import event_convolution
from sewdsl.snn.kernels.convolution.event_convolution import EventConvolution, equals_dense
from tests.effort import examples, factor

ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}
FORMATS = [*ROUNDING][: None if factor() > 1 else 2]
"""Each has kernels of its own."""
Kind = tuple[tuple[int, int], tuple[int, int], tuple[int, int], torch.dtype]
WINDOWS = [((3, 3), (1, 1)), ((2, 3), (1, 2)), ((1, 1), (1, 1)), ((3, 3), (2, 2))]
CHANNELS = [(24, 40), (8, 8)]
KINDS: list[Kind] = [
    ((3, 3), (1, 1), (16, 16), torch.float32),
    ((2, 3), (1, 2), (24, 40), torch.bfloat16),
    ((3, 3), (2, 2), (16, 16), torch.float32),
]
"""Kernels and steps, channels and formats: few, since each is compiled, and those of the networks below."""
if factor() > 1:
    KINDS = [(*window, *each) for window, each in product(WINDOWS, product(CHANNELS, (torch.float32, torch.bfloat16)))]


class Case(NamedTuple):
    """A convolution, and what it is shown."""

    window: ConvWindow
    x: Tensor
    weight: Tensor
    bias: Tensor | None
    counts: bool

    @property
    def events(self) -> EventConvolution:
        found = EventConvolution.of(self.window, self.x, self.weight, counts=self.counts)
        assert found is not None
        return found

    def dense(self, dtype: torch.dtype) -> Tensor:
        _, stride, padding, dilation, groups = self.window
        bias = None if self.bias is None else self.bias.to(dtype)
        return functional.conv2d(self.x.to(dtype), self.weight.to(dtype), bias, stride, padding, dilation, groups)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw convolutions of any size and density, most of them small."""
    kernel, stride, (channels, outputs), dtype = draw(st.sampled_from(KINDS))
    padding = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    size = [draw(st.integers(max(1, k - 2 * p), 9)) for k, p in zip(kernel, padding, strict=True)]
    counts, N = draw(st.booleans()), draw(st.integers(1, 20))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    x = (torch.rand(N, channels, *size, generator=generator) < draw(st.floats(0, 1))).float()
    x = x * torch.randint(1, 4, x.shape, generator=generator) if counts else x
    weight = torch.randn(outputs, channels, *kernel, generator=generator).to(dtype)
    bias = torch.randn(outputs, generator=generator).to(dtype) if draw(st.booleans()) else None
    x = x.to(dtype).contiguous(memory_format=torch.channels_last)
    return Case(ConvWindow(kernel, stride, padding, (1, 1), 1), x, weight, bias, counts)


@examples(12)
@given(cases())
def test_output(case: Case) -> None:
    """Channels last, and as precise as the format allows."""
    found, wanted = case.events.computed(case.x, case.weight, case.bias), case.dense(torch.float64)
    assert found is not None
    assert found.dtype == case.x.dtype
    assert found.is_contiguous(memory_format=torch.channels_last)
    size = float(wanted.abs().max()) + 1
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=size * ROUNDING[case.x.dtype])


@examples(12)
@given(cases(), st.integers(0, 999))
def test_gradient_of_the_weight(case: Case, seed: int) -> None:
    """The same however many samples are in a group and in a tile; of windows that step there is none."""
    y = case.dense(torch.float64)
    g = torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(case.x.dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_convolution, "MOST_ACTIVE_IN_GRADIENT", 1.0)  # however much is active
        patch.setattr(event_convolution, "MOST_ACTIVE_OF_16_BITS_IN_GRADIENT", 1.0)
        patch.setattr(event_convolution, "TILE_PLACES", 40)
        patch.setattr(event_convolution, "TILE_BYTES", 1 << 12)
        patch.setattr(event_convolution, "TILE_COLUMNS", 5)
        found = case.events.weight_gradient(case.x, case.weight, g)
    assert (found is None) == (case.window.stride != (1, 1))
    if found is not None:
        assert (found.dtype, found.stride()) == (case.weight.dtype, case.weight.stride())
        weight = case.weight.double().requires_grad_()
        y = functional.conv2d(case.x.double(), weight, None, case.window.stride, case.window.padding)
        (wanted,) = torch.autograd.grad(y, weight, g.double())
        size = float(wanted.abs().max()) + 1
        torch.testing.assert_close(found.double(), wanted, rtol=0, atol=size * ROUNDING[case.x.dtype])


def spikes(*shape: int, active: float = 0.1, seed: int = 0) -> Tensor:
    x = (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < active).float()
    return x.contiguous(memory_format=torch.channels_last)


WINDOW = ConvWindow((3, 3), (1, 1), (1, 1), (1, 1), 1)


def test_gradient_is_nearer_to_the_truth_than_the_dense_one() -> None:
    """With many samples, the gradient is a sum of partial sums."""
    x, g = spikes(16, 16, 32, 32), torch.randn(16, 16, 32, 32, generator=torch.Generator().manual_seed(1))
    weight = torch.randn(16, 16, 3, 3)
    events = EventConvolution.of(WINDOW, x, weight, counts=False)
    assert events is not None
    found = events.weight_gradient(x, weight, g)
    assert found is not None
    dense, exact = (
        conv2d_weight(x.to(dtype), weight.shape, g.to(dtype), padding=1).double()  # type: ignore[no-untyped-call]
        for dtype in (torch.float32, torch.float64)
    )
    assert (found - exact).abs().max() < (dense - exact).abs().max()


@pytest.mark.parametrize("fast", [False, True])
def test_where_dense_is_fast_less_has_to_be_active(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """Numbers of 16 bits that a processor multiplies as they are."""
    monkeypatch.setattr(event_convolution, "has_instructions", lambda name: fast and name == "avx512bf16")
    x, weight = spikes(8, 16, 16, 16, active=0.16), torch.randn(16, 16, 3, 3)
    for dtype in FORMATS:
        shown, weights = x.to(dtype), weight.to(dtype)
        events = EventConvolution.of(WINDOW, shown, weights, counts=False)
        assert events is not None
        assert (events.forward(shown, weights, None) is None) == (fast and dtype == torch.bfloat16)
        assert events.weight_gradient(shown, weights, torch.ones_like(shown)) is not None


@pytest.mark.parametrize("value", [2.0, 0.5, -1.0, float("nan"), float("inf")])
def test_what_is_no_spike_is_not_taken_for_one(value: float) -> None:
    """Whoever says that an input is spikes may be wrong: a layer of somebody's own can be anywhere."""
    x, weight = spikes(2, 16, 6, 6), torch.randn(16, 16, 3, 3)
    x[1, 3, 5, 5] = value
    events = EventConvolution.of(WINDOW, x, weight, counts=False)
    assert events is not None
    assert events.forward(x, weight, None) is None
    assert events.weight_gradient(x, weight, torch.ones(2, 16, 6, 6)) is None
    counts = replace_counts(events)
    y = counts.forward(x, weight, None)
    assert y is not None
    torch.testing.assert_close(y, functional.conv2d(x, weight, padding=1), rtol=1e-4, atol=1e-4, equal_nan=True)


def replace_counts(events: EventConvolution) -> EventConvolution:
    return events._replace(counts=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(value: float) -> None:
    """Times zero they are no numbers: that weights have grown beyond all bounds has to be seen."""
    x, weight = spikes(2, 16, 6, 6), torch.randn(16, 16, 3, 3)
    weight[2, 3, 1, 1] = value
    y = conv2d_low_memory(WINDOW, weight, None, x, ConvRun(events="spikes", exact=False))
    assert torch.equal(y.isnan(), functional.conv2d(x, weight, padding=1).isnan())


def test_what_is_dense_stays_so() -> None:
    weight = torch.randn(16, 16, 3, 3)
    for active, forward, gradient in ((0.1, True, True), (0.25, False, True), (0.5, False, False)):
        x = spikes(8, 16, 20, 20, active=active)
        events = EventConvolution.of(WINDOW, x, weight, counts=False)
        assert events is not None
        assert (events.forward(x, weight, None) is not None) == forward
        assert (events.weight_gradient(x, weight, torch.ones_like(x)) is not None) == gradient


@pytest.mark.parametrize("channels", [8, 24, 32, 48, 64, 96, 512])
def test_a_sample_of_the_input_has_all_channels(channels: int) -> None:
    """Any single active channel is found."""
    for channel in (0, channels // 3, channels - 1):
        x = torch.zeros(4, channels, 32, 32).contiguous(memory_format=torch.channels_last)
        x[:, channel] = 1
        events = EventConvolution.of(WINDOW, x, torch.randn(8, channels, 3, 3), counts=False)
        assert events is not None
        part = 1 / channels
        assert events.is_sparse(x, 1.5 * part)
        assert not events.is_sparse(x, 0.5 * part)


@pytest.mark.parametrize(
    ("window", "shape", "channels"),
    [
        (WINDOW._replace(groups=2), (2, 16, 6, 6), 16),
        (WINDOW._replace(dilation=(2, 2)), (2, 16, 6, 6), 16),
        (WINDOW._replace(padding="same"), (2, 16, 6, 6), 16),
        (WINDOW, (2, 12, 6, 6), 16),
        (WINDOW, (2, 16, 6, 6), 12),
        (WINDOW, (0, 16, 6, 6), 16),
    ],
)
def test_there_is_no_kernel(window: ConvWindow, shape: tuple[int, ...], channels: int) -> None:
    weight = torch.randn(channels, shape[1] // window.groups, 3, 3)
    assert EventConvolution.of(window, spikes(*shape), weight, counts=False) is None


def test_there_is_none_for_other_memory_formats_and_devices() -> None:
    x, weight = spikes(2, 16, 6, 6), torch.randn(16, 16, 3, 3)
    assert EventConvolution.of(WINDOW, x, weight, counts=False) is not None
    assert EventConvolution.of(WINDOW, x.contiguous(), weight, counts=False) is None
    assert EventConvolution.of(WINDOW, x.double(), weight.double(), counts=False) is None
    assert EventConvolution.of(WINDOW, x, weight.bfloat16(), counts=False) is None
    assert EventConvolution.of(WINDOW, x.to("meta"), weight.to("meta"), counts=False) is None
    with use_kernels("reference"):
        assert EventConvolution.of(WINDOW, x, weight, counts=False) is None


def test_threads_change_no_bit() -> None:
    x, weight, g = spikes(3, 16, 40, 12), torch.randn(16, 16, 3, 3), torch.randn(3, 16, 40, 12)
    events = EventConvolution.of(WINDOW, x, weight, counts=False)
    assert events is not None
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append((events.forward(x, weight, None), events.weight_gradient(x, weight, g)))
    finally:
        torch.set_num_threads(before)
    for y, dw in found[1:]:
        assert y is not None
        assert dw is not None
        assert torch.equal(y, found[0][0])  # type: ignore[arg-type]
        assert torch.equal(dw, found[0][1])  # type: ignore[arg-type]


def test_exact_runs_dense_where_sums_are_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = spikes(4, 16, 12, 12), torch.randn(16, 16, 3, 3)
    ran: list[bool] = []
    computed = EventConvolution.computed

    def noted(events: EventConvolution, *arguments: Any) -> Tensor | None:
        ran.append(True)
        return computed(events, *arguments)

    monkeypatch.setattr(EventConvolution, "computed", noted)
    for equal in (True, False):
        monkeypatch.setattr(convolution, "equals_dense", lambda *_, equal=equal, **__: equal)
        ran.clear()
        conv2d_low_memory(WINDOW, weight, None, x, ConvRun(events="spikes"))
        assert bool(ran) == equal
    conv2d_low_memory(WINDOW, weight, None, x, ConvRun(events="spikes", exact=False))
    assert ran


@pytest.mark.parametrize("channels", [16, 32, 64] if factor() > 1 else [16])
def test_equality_is_what_it_says(channels: int) -> None:
    """Convolutions that claim bit-identical results have them for other numbers too."""
    x, weight = spikes(4, channels, 14, 14, seed=3), torch.randn(channels, channels, 3, 3)
    weight = weight.contiguous(memory_format=torch.channels_last)
    events = EventConvolution.of(WINDOW, x, weight, counts=False)
    assert events is not None
    equal = equals_dense(events, x.shape, bias=False)
    y = events.forward(x, weight, None)
    assert y is not None
    assert not equal or torch.equal(y, functional.conv2d(x, weight, padding=1))


@pytest.fixture
def all_large(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Treat all values as large, and return a list of the event-driven convolutions."""
    monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", 1)
    ran: list[str] = []
    forward, gradient = EventConvolution.forward, EventConvolution.weight_gradient

    def noted(name: str, found: Tensor | None) -> Tensor | None:
        ran.extend([name] if found is not None else [])
        return found

    monkeypatch.setattr(EventConvolution, "forward", lambda self, *a, **k: noted("forward", forward(self, *a, **k)))
    monkeypatch.setattr(
        EventConvolution, "weight_gradient", lambda self, *a, **k: noted("gradient", gradient(self, *a, **k))
    )
    return ran


TEXT = "c16k3-BN-PLIF-{SEW Block (c16)}*2-c16k1s2-BN-PLIF-APk2-c16k3-BN-PLIF-FC5"


def outcome(model: torch.nn.Module, x: Tensor) -> list[Tensor]:
    y = model(x)
    y.square().sum().backward()
    return [y.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]


@pytest.mark.parametrize("level", [1, 2])
def test_network(level: int, all_large: list[str]) -> None:
    """Level 1: outputs are bit-identical to those without events. Gradients are equal up to rounding at both levels."""
    network = sewdsl.load(TEXT, input="2x16x16", steps=4)
    program = optimize_program(network, level)
    assert set(program.events.values()) == {"spikes", "counts"}
    assert all(network.nodes[i].name != "conv1" for i in program.events)  # it reads the input
    x = (torch.rand(4, 3, 2, 16, 16, generator=torch.Generator().manual_seed(1)) < 0.2).float()
    found = outcome(lower(program, seed=0), x)
    assert "forward" in all_large
    assert "gradient" in all_large
    all_large.clear()
    wanted = outcome(lower(replace(program, events={}), seed=0), x)
    assert not all_large
    if level == 1:
        assert torch.equal(found[0], wanted[0])
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def test_a_hook_that_makes_other_values_is_heard(all_large: list[str]) -> None:
    """Spikes that a hook makes twice as large are twice as large."""
    model = sewdsl.compile("c16k3-BN-IF-c16k3-BN-IF-FC3", input="2x8x8", steps=2, seed=0, optimize=2)
    model.get_submodule("if1").register_forward_hook(lambda _module, _inputs, y: 2 * y)
    x = torch.rand(2, 3, 2, 8, 8)
    heard = model(x)
    with use_kernels("reference"):
        torch.testing.assert_close(heard, model(x))
    assert "forward" not in all_large


def test_autocast(all_large: list[str]) -> None:
    model = sewdsl.compile("c16k3-BN-PLIF-c16k3-BN-PLIF-FC5", input="2x16x16", steps=4, seed=0, optimize=2)
    x = (torch.rand(4, 3, 2, 16, 16) < 0.2).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(x).float().sum().backward()
    assert set(all_large) == {"forward", "gradient"}
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_dense_is_the_default() -> None:
    assert ConvRun(frees_input=False, events=None) == convolution.DENSE
