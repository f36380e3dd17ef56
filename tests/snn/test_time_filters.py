"""Filters along time, and full connections with learned delays, next to plain PyTorch in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import sewdsl
from sewdsl.ir.signal import Signal
from sewdsl.ops.layers import time_filters
from sewdsl.ops.schedules import Shrink
from sewdsl.snn.streamed_past import StreamedPast
from sewdsl.snn.time_filters import DelayedLinear, TimeFilter

DOUBLE = torch.float64


def gradients(y: Tensor, *inputs: Tensor) -> list[Tensor]:
    weights = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).reshape(y.shape)
    return list(torch.autograd.grad((y * weights).sum(), inputs))


def close(one: list[Tensor], other: list[Tensor]) -> None:
    for a, b in zip(one, other, strict=True):
        assert (a - b).abs().max() <= 1e-13 * (1 + b.abs().max())


def frames(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=DOUBLE).requires_grad_()


@pytest.mark.parametrize(("taps", "dilation", "T"), [(3, 2, 9), (4, 1, 9), (1, 1, 3), (5, 3, 4)])
@pytest.mark.parametrize("places", [(), (5,), (2, 3)])
def test_a_filter_is_a_grouped_convolution(taps: int, dilation: int, T: int, places: tuple[int, ...]) -> None:
    layer = TimeFilter(3, taps, dilation).to(DOUBLE)
    x = frames(T, 2, 3, *places)
    y = layer(x)
    rows = x.flatten(3) if places else x[..., None]
    rows = functional.pad(rows.permute(1, 3, 2, 0).flatten(0, 1), ((taps - 1) * dilation, 0))
    flipped = layer.weight.flip(-1)[:, None]
    expected = functional.conv1d(rows, flipped, dilation=dilation, groups=3)
    expected = expected.reshape(2, -1, *expected.shape[1:]).permute(3, 0, 2, 1).reshape(y.shape)
    close([y, *gradients(y, x, layer.weight)], [expected, *gradients(expected, x, layer.weight)])


def by_synapses(layer: DelayedLinear, x: Tensor) -> Tensor:
    """A loop over synapses and lags, as the paper writes it."""
    T, N, inputs = x.shape
    rows = []
    for output in range(len(layer.weight)):
        row = torch.zeros(T, N, dtype=x.dtype)
        for source in range(inputs):
            p, w = layer.delay[output, source], layer.weight[output, source]
            g = torch.stack([torch.exp(-((n - p) ** 2) / (2 * layer.width**2)) for n in range(layer.reach)])
            for n in range(min(layer.reach, T)):
                factor = g[n] / (g.sum() + 1e-7) if layer.training else float(n == round(p.item()))
                row = row + functional.pad(w * factor * x[: T - n, :, source], (0, 0, n, 0))
        rows.append(row if layer.bias is None else row + layer.bias[output])
    return torch.stack(rows, -1)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_delays_are_those_of_a_loop_over_synapses(*, training: bool, bias: bool) -> None:
    torch.manual_seed(0)
    layer = DelayedLinear(5, 4, 6, bias=bias).to(DOUBLE).train(training)
    layer.width.fill_(1.3)
    x = frames(9, 2, 5)
    y, expected = layer(x), by_synapses(layer, x)
    parameters = [x, layer.weight, *([layer.delay] if training else []), *([] if layer.bias is None else [layer.bias])]
    close([y, *gradients(y, *parameters)], [expected, *gradients(expected, *parameters)])


def test_the_gradient_of_delays_is_that_of_differences() -> None:
    torch.manual_seed(1)
    layer = DelayedLinear(3, 2, 5).to(DOUBLE)
    x = frames(7, 2, 3)
    (gradient,) = gradients(layer(x), layer.delay)
    direction, step = torch.randn_like(layer.delay), 1e-6
    sums = []
    for sign in (1, -1):
        moved = layer.delay.detach() + sign * step * direction
        y = torch.func.functional_call(layer, {"delay": moved}, x)
        sums.append((y * torch.cos(torch.arange(y.numel(), dtype=DOUBLE)).reshape(y.shape)).sum().item())
    assert (gradient * direction).sum().item() == pytest.approx((sums[0] - sums[1]) / (2 * step), rel=1e-7)


def test_narrow_kernels_at_whole_delays_are_taps() -> None:
    torch.manual_seed(2)
    layer, x = DelayedLinear(6, 4, 5).to(DOUBLE), frames(8, 3, 6)
    with torch.no_grad():
        layer.delay.round_()
        layer.width.fill_(0.05)
        # The sum of a kernel is 1 + 1e-7.
        assert torch.allclose(layer.train()(x), layer.eval()(x), rtol=2e-7, atol=1e-6)


def test_delays_start_uniform_and_are_clamped() -> None:
    torch.manual_seed(0)
    layer = DelayedLinear(50, 40, 11)
    assert 0 <= layer.delay.min() < 0.1
    assert 9.9 < layer.delay.max() <= 10
    assert layer.delay.mean().item() == pytest.approx(5, abs=0.3)
    assert layer.width == 5.5
    with torch.no_grad():
        layer.delay.add_(3)
    x = torch.rand(4, 2, 50)
    before = layer(x)
    layer.clamp_delays()
    assert layer.delay.max() == 10
    assert torch.equal(layer(x), before)


LAYERS = (lambda: TimeFilter(5, 3, 2), lambda: TimeFilter(5, 1), lambda: DelayedLinear(5, 4, 6))


@pytest.mark.parametrize("make", LAYERS)
def test_chunks_of_a_sequence_give_the_sequence(make: Callable[[], TimeFilter | DelayedLinear]) -> None:
    torch.manual_seed(0)
    layer, x = make().to(DOUBLE).eval(), frames(9, 2, 5).detach()
    before, outputs = None, []
    for begin, end in ((0, 1), (1, 4), (4, 5), (5, 9)):
        past = StreamedPast(begin, before)
        outputs.append(layer(x[begin:end], past=past))
        before = past.after
    assert torch.allclose(torch.cat(outputs), layer(x), rtol=1e-14, atol=1e-14)


BODIES = (
    "FIRk3d2-c4k3-BN-SN-FIRk2-DFC12(reach=3)-BN-SN-DFC5b0(reach=9)",
    "LOOP[DFC8(reach=3)-BN-SN | FIRk3-FC72]-SN-DFC5(reach=2, init=sparse(density=0.4))",
)


@pytest.mark.parametrize("body", BODIES)
def test_levels_and_streams_agree(body: str) -> None:
    size = "2x6x6" if body.startswith("F") else "72"
    network = sewdsl.load(body.replace("DFC8", "DFC72"), input=size, steps=6, neuron="LIF(v_threshold=0.3)")
    models = [sewdsl.compile(network, seed=0, optimize=level).to(DOUBLE) for level in (0, 1, 2)]
    x = frames(6, 2, *network.settings.input).detach()
    for training in (True, False):
        outputs = []
        for model in models:
            model.train(training).zero_grad()
            y = model(x, return_sequence=True)
            y.square().sum().backward()
            # In evaluation, rounded delays have no gradient.
            outputs.append([y, *(weight.grad for weight in model.parameters() if weight.grad is not None)])
        for other in outputs[1:]:
            for a, b in zip(outputs[0], other, strict=True):
                assert torch.allclose(a, b, rtol=1e-9, atol=1e-9)
    stream, state, steps = models[1].eval().stream(), None, []
    for frame in x:
        y, state = stream(frame, state)
        steps.append(y)
    assert torch.allclose(torch.stack(steps), models[1](x, return_sequence=True), rtol=1e-12, atol=1e-12)


def test_counts() -> None:
    signal = Signal((3, 4, 5))
    fir = time_filters.TimeFilter(taps=4)
    assert (fir.parameters(signal), fir.macs(signal), fir.fan_out(signal).total(4)) == (12, 240, 200)
    layer = time_filters.DelayedLinear(features=7, reach=9)
    assert (layer.parameters(signal), layer.macs(signal), layer.fan_out(signal).outputs) == (2 * 7 * 60 + 7, 420, 7)
    network = sewdsl.load("DFC10b0(reach=4, init=sparse(density=0.2))-FIRk2-SN-DFC5(reach=3)", input="20", neuron="IF")
    assert [network.parameters(node) for node in network] == [0, 2 * 4 * 10, 20, 0, 105]
    model = sewdsl.compile(network, seed=0)
    model(torch.rand(2, 3, 20)).sum().backward()
    gradient, mask = model.get_parameter("dfc1.delay").grad, model.get_buffer("dfc1.weight_mask")
    assert gradient is None or not gradient[mask == 0].any()


def test_names_of_parameters() -> None:
    """Patterns of recipes know the parameters of layers without building them."""
    body = "FIRk3-c4k3b1-SN-tc4k2s2-PLIF-FC6b0-DFC5(reach=2)"
    network = sewdsl.load(body, input="2x6x6", neuron="IF")
    model = sewdsl.compile(network)
    for node in network.nodes[1:]:
        module = model.get_submodule(node.name)
        assert sorted(node.op.parameter_names()) == sorted(name for name, _ in module.named_parameters())


def test_widths() -> None:
    schedule = Shrink(to=0.5, until=0.25)
    widths = [schedule.width(12.5, epoch, 40) for epoch in (0, 5, 10, 39)]
    assert widths == pytest.approx([12.5, 2.5, 0.5, 0.5])
    assert schedule.width(12.5, 1, 2) == pytest.approx(0.5)


def test_layers_print_their_arguments() -> None:
    assert str(TimeFilter(3, 4, 2)) == "TimeFilter(3, taps=4, dilation=2)"
    assert str(nn.Sequential(DelayedLinear(3, 4, 5, bias=False))[0]) == (
        "DelayedLinear(in_features=3, out_features=4, reach=5, bias=False)"
    )
