"""Layers of tokens against plain PyTorch with an explicit axis of tokens, in float64: outputs and gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import sewdsl

T, N = 3, 2
Reference = Callable[[Tensor, Sequence[Tensor]], Tensor]


def rms(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Return RMS as in transformers, with the channels on the last axis."""
    (weight,) = weights
    tokens = x.movedim(2, -1)
    return functional.rms_norm(tokens, weight.shape, weight, 0.01).movedim(-1, 2)


def positions(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    (weight,) = weights
    return torch.stack([torch.stack([sample + weight for sample in step]) for step in x])


def step_positions(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    (weight,) = weights
    return torch.stack([(step.movedim(1, -1) + weight[t]).movedim(-1, 1) for t, step in enumerate(x)])


def mixed(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Return token mixing as in MLP-Mixer, with tokens before channels: two linear layers along the tokens."""
    one, bias, other, more = weights
    tokens = x.flatten(3).transpose(2, 3)  # [T, N, L, C]
    hidden = functional.gelu(functional.linear(tokens.transpose(2, 3), one.flatten(1), bias))
    return functional.linear(hidden, other.flatten(1), more).reshape(x.shape)


def along_heads(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """A convolution along the channels of each head, whose channels are the tokens."""
    weight, bias = weights
    heads = x.view(T, N, 2, -1, x.shape[3:].numel()).permute(2, 0, 1, 4, 3)  # [heads, T, N, L, C / heads]
    rows = [functional.conv1d(head.flatten(0, 1), weight[:, :, 0], bias, padding=1) for head in heads]
    joined = torch.stack([row.view(*x.shape[:2], *row.shape[1:]) for row in rows]).permute(1, 2, 0, 4, 3)
    return joined.flatten(2, 3).reshape(x.shape)


def class_tokens(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """As ViT has it, with tokens before channels."""
    (weight,) = weights
    first = weight.t().expand(T, N, *weight.t().shape)
    return torch.cat([first, x.flatten(3).transpose(2, 3)], dim=2).transpose(2, 3)


def spatial(x: Tensor, weight: Tensor) -> Tensor:
    """Return spatial attention, with a factor for each position."""
    pooled = torch.cat((x.amax(2, keepdim=True), x.mean(2, keepdim=True)), 2)
    return x * functional.conv2d(pooled.flatten(0, 1), weight, padding=1).view(T, -1, 1, *x.shape[3:]).sigmoid()


def parts(spectrum: Tensor) -> Tensor:
    """Return the real and imaginary parts as two channels each."""
    return torch.stack((spectrum.real, spectrum.imag), 3).flatten(2, 3)


def complex_channels(x: Tensor) -> Tensor:
    """Return complex channels of pairs of channels."""
    return torch.complex(x[:, :, ::2], x[:, :, 1::2])


def fourier_convolution(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Return the values of a convolved spectrum."""
    weight, bias = weights
    spectrum = parts(torch.fft.rfft2(x, norm="ortho"))
    convolved = functional.conv2d(spectrum.flatten(0, 1), weight, bias).relu().view(spectrum.shape)
    values: Tensor = torch.fft.irfft2(complex_channels(convolved), norm="ortho")
    return values


LAYERS: dict[str, tuple[str, Reference]] = {
    "RMS(eps=0.01)": ("4x5x3", rms),
    "POS": ("4x5x3", positions),
    "POS(per=step)": ("4x5x3", step_positions),
    "MEAN(over=time)": ("4x5", lambda x, _: torch.stack([(x[0] + x[1] + x[2]) / T] * T)),
    "SUM(over=time)": ("7", lambda x, _: torch.stack([x[0] + x[1] + x[2]] * T)),
    "Reshape(2x3x4)": ("24", lambda x, _: x.view(T, N, 2, 3, 4)),
    "Reshape(6x4)": ("2x3x4", lambda x, _: x.flatten(2, 3)),
    "Swap": ("4x5x3", lambda x, _: x.flatten(3).transpose(2, 3)),
    "Swap(heads=2)": ("4x5", lambda x, _: torch.stack([x[:, :, :2], x[:, :, 2:]]).permute(1, 2, 4, 0, 3)),
    "Swap(to=2x3)": ("6x4", lambda x, _: x.movedim(3, 2).view(T, N, 4, 2, 3)),
    "Swap[c7k1-GELU-c15k1]": ("4x5x3", mixed),
    "Swap(heads=2)[c6k1x3p0x1]": ("8x3x2", along_heads),
    "CAT[Reshape(4x15) | TOK15c2]": (
        "4x5x3",
        lambda x, weights: torch.cat([x.flatten(3), weights[0].expand(T, N, 2, 15)], 2),
    ),
    "ADD[TOK3c4 | id]": ("4x3", lambda x, weights: x + weights[0]),
    "CAT[TOK2-Swap | Swap]-Swap": ("4x5x3", class_tokens),
    "UP2x3": ("4x5x3", lambda x, _: x.repeat_interleave(2, 3).repeat_interleave(3, 4)),
    "ADD[ GAP-Reshape(4x1x1)-UP5x3 | id ]": ("4x5x3", lambda x, _: x + x.mean((3, 4), keepdim=True)),
    "ADD[ SUM(over=channels)-Swap-UP4-Swap(to=5x3) | id ]": ("4x5x3", lambda x, _: x + x.sum(2, keepdim=True)),
    "PAD1x2": ("4x5x3", lambda x, _: functional.pad(x, (2, 2, 1, 1))),
    "PAD2": ("4x5", lambda x, _: functional.pad(x, (2, 2))),
    "PAD(p=2, mode=reflect)": (
        "4x5x3",
        lambda x, _: x[..., [2, 1, 0, 1, 2, 1, 0]][..., [2, 1, 0, 1, 2, 3, 4, 3, 2], :],
    ),
    "ADD[PAD1-ReLU-c4k3p0 | id]": (
        "4x5x3",
        lambda x, w: x + functional.conv2d(x.relu().flatten(0, 1), w[0], w[1], padding=1).view(x.shape),
    ),
    "MAP{floor(2*x) - x*ceil(x)}": ("4x5x3", lambda x, _: (2 * x).floor() - x * x.ceil()),
    "AMAX(over=places)": ("4x5x3", lambda x, _: x.amax((3, 4), keepdim=True)),
    "Reshape(4x15)-AMAX(over=places)": ("4x5x3", lambda x, _: x.amax((3, 4))[..., None]),
    "AMAX(over=channels)": ("4x5x3", lambda x, _: x.amax(2, keepdim=True)),
    "AMAX(over=channels, groups=3)": (
        "6",
        lambda x, _: torch.stack([x[:, :, i : i + 2].amax(2) for i in (0, 2, 4)], 2),
    ),
    # CBAM: channel attention, then spatial attention (Woo et al., ECCV 2018).
    "MUL[ADD[MEAN(over=places) | AMAX(over=places)]-Logistic | id]-"
    "MUL[CAT[AMAX(over=channels) | MEAN(over=channels)]-c1k3b0-Logistic | id]": (
        "4x5x3",
        lambda x, w: spatial(x * (x.mean((3, 4), keepdim=True) + x.amax((3, 4), keepdim=True)).sigmoid(), w[0]),
    ),
    "FFT": ("4x5x6", lambda x, _: parts(torch.fft.rfft2(x, norm="ortho"))),
    "PAD1-FFT": ("3x1x2", lambda x, _: parts(torch.fft.rfft2(functional.pad(x, (1, 1, 1, 1)), norm="ortho"))),
    "Reshape(4x30)-FFT": ("4x5x6", lambda x, _: parts(torch.fft.rfft(x.flatten(3), norm="ortho"))),
    "FFT(inverse=on)": ("6x5x4", lambda x, _: torch.fft.irfft2(complex_channels(x), norm="ortho")),
    "SiLU-FFT(inverse=on)": ("2x3", lambda x, _: torch.fft.irfft(complex_channels(functional.silu(x)), norm="ortho")),
    "FFT-c8k1-ReLU-FFT(inverse=on)": ("4x3x8", fourier_convolution),
    "Slice(stop=3)": ("7", lambda x, _: torch.stack([x[:, :, i] for i in range(3)], 2)),
    "Slice(start=1, stop=-1)": ("4x5x3", lambda x, _: torch.stack([x[:, :, 1], x[:, :, 2]], 2)),
    "Slice(start=-2, over=places)": ("4x5x3", lambda x, _: x[:, :, :, 4, 1:]),
    "Slice(start=1, stop=2, over=places)": ("4x5", lambda x, _: x[:, :, :, 1:2]),
    "Slice(stop=1, over=time)": ("4x5", lambda x, _: torch.stack([x[0]] * T)),
    "Slice(start=-1, over=time)": ("4x5", lambda x, _: torch.stack([x[T - 1]] * T)),
    "Slice(start=1, stop=2, over=time)": ("7", lambda x, _: torch.stack([x[1]] * T)),
    "ADD[Slice(stop=2)-ReLU | Slice(start=2)-GELU | Slice(start=1, stop=3)]": (
        "4x5",
        lambda x, _: x[:, :, :2].relu() + functional.gelu(x[:, :, 2:]) + x[:, :, 1:3],
    ),
    "Reshape(24)": ("2x3x4", lambda x, _: x.flatten(2)),
}


def results(y: Tensor, *leaves: Tensor) -> list[Tensor]:
    """The output, and the gradients of an uneven sum of it."""
    factors = torch.linspace(-1, 2, y.numel(), dtype=y.dtype).reshape(y.shape)
    return [y.detach(), *torch.autograd.grad((y * factors).sum(), leaves)]


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("text", LAYERS)
def test_the_same(text: str, level: int, *, static: bool) -> None:
    size, reference = LAYERS[text]
    encode = {"encode": "direct" if static else "none"}
    model = sewdsl.compile(text, input=size, steps=T, seed=0, optimize=level, set=encode).double()
    weights = list(model.parameters())
    with torch.no_grad():
        for weight in weights:
            weight.add_(torch.linspace(0, 1, weight.numel()).reshape(weight.shape))
    shape = map(int, size.split("x"))
    x = torch.randn(N, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x = (x if static else torch.stack([x, x.flip(0), 2 * x])).requires_grad_()
    y = model(x, return_sequence=True)
    expected = reference(x.expand(T, *x.shape) if static else x, weights)
    for one, other in zip(results(y, x, *weights), results(expected, x, *weights), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    "text",
    [
        "RMS",
        "POS",
        "POS(per=step)",
        "Reshape(6x2)",
        "Swap[c4k1-BN-LIF]",
        "TOK3",
        "Slice(start=1)",
        "PAD1",
        "PAD(p=3, mode=reflect)",
        "FFT",
    ],
)
def test_streams(text: str) -> None:
    model = sewdsl.compile(f"{text}-LIF", input="3x4", steps=T, seed=0).double().eval()
    x = 3 * torch.randn(T, N, 3, 4, dtype=torch.float64)
    stream, state = model.stream(), None
    for x_N, expected in zip(x, model(x, return_sequence=True), strict=True):
        y_N, state = stream(x_N, state)
        assert torch.equal(y_N, expected)


def test_positions_start_small() -> None:
    model = sewdsl.compile("POS-POS(per=step)", input="64x16x16", steps=400, seed=0)
    for weight in model.parameters():
        assert float(weight.detach().std()) == pytest.approx(0.02, rel=0.03)
        assert float(weight.detach().mean()) == pytest.approx(0, abs=0.001)


def test_a_mean_over_time_takes_any_number_of_time_steps() -> None:
    model = sewdsl.compile("MEAN(over=time)-FC3", input="5", steps=T)
    assert model(torch.randn(T + 2, N, 5)).shape == (N, 3)
    with pytest.raises(ValueError, match="needs all time-steps at once"):
        model.stream()
