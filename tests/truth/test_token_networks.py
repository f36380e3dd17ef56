"""Shipped networks with tokens and reshaping against their own modules of plain PyTorch, in float64."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

import sewdsl
from sewdsl.compiler import shipped_networks
from tests.effort import factor
from tests.truth.plain import Fire, carry, compare, each, layers_in_order, lif


class Generator(nn.Module):
    """DCGAN's, whose projection is reshaped to maps."""

    def __init__(self) -> None:
        super().__init__()
        self.project, self.norm = nn.Linear(100, 512 * 4 * 4, bias=False), nn.BatchNorm2d(512)
        widths = (512, 256, 128, 64)
        pairs = list(pairwise(widths))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False) for a, b in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm2d(b) for _, b in pairs)
        self.last = nn.ConvTranspose2d(64, 3, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = lif(each(self.norm, self.project(x).view(*x.shape[:2], 512, 4, 4)))
        for up, norm in zip(self.ups, self.norms, strict=True):
            y = lif(each(norm, each(up, y)))
        return each(self.last, y).tanh()


class Mixing(nn.Module):
    """Two linear layers on the last axis, with norms of its elements and neurons."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(width, inner, bias=False), nn.Linear(inner, width, bias=False)
        self.first, self.last = nn.BatchNorm1d(inner), nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        hidden = lif(self.normed(self.first, self.one(lif(x))))
        return self.normed(self.last, self.other(hidden))

    @staticmethod
    def normed(norm: nn.Module, x: Tensor) -> Tensor:
        """The norm of each element of the last axis, over all others."""
        y: Tensor = norm(x.flatten(0, -2)).view(x.shape)
        return y


class Mixer(nn.Module):
    """An MLP-Mixer on ``[T, N, tokens, channels]``."""

    def __init__(self, tokens: int, channels: int, depth: int) -> None:
        super().__init__()
        self.patches = nn.Linear(3 * 4 * 4, channels, bias=False)
        self.norm = nn.BatchNorm1d(channels)
        pairs = [(Mixing(tokens, 4 * tokens), Mixing(channels, 4 * channels)) for _ in range(depth)]
        self.blocks = nn.ModuleList(layer for pair in pairs for layer in pair)
        self.classify = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        T, N, C, H, W = x.shape
        cut = x.view(T, N, C, H // 4, 4, W // 4, 4).permute(0, 1, 3, 5, 2, 4, 6).flatten(4).flatten(2, 3)
        y = Mixing.normed(self.norm, self.patches(cut))
        for index, block in enumerate(self.blocks):
            y = y + (block(y) if index % 2 else block(y.transpose(2, 3)).transpose(2, 3))
        z: Tensor = self.classify(lif(y).mean(2))
        return z


@pytest.mark.parametrize("training", [True, False])
def test_the_generator_of_a_dcgan(*, training: bool) -> None:
    torch.manual_seed(0)
    model = sewdsl.compile("dcgan-generator", seed=0, steps=2).double().train(training)
    reference = Generator().double().train(training)
    ups = [layer for pair in zip(reference.ups, reference.norms, strict=True) for layer in pair]
    order = [reference.project, reference.norm, *ups, reference.last]
    pairs = carry(reference, order, model)
    compare(reference, model, pairs, torch.randn(2, 100, dtype=torch.float64), 2)
    for module, other in zip(order, layers_in_order(model), strict=True):
        if isinstance(module, nn.BatchNorm2d):
            torch.testing.assert_close(other.running_var, module.running_var)


def test_a_mixer() -> None:
    torch.manual_seed(0)
    size = {"depth": 8, "tokens": 64, "channels": 128} if factor() > 1 else {"depth": 2, "tokens": 16, "channels": 8}
    text = shipped_networks()["spiking-mlp-mixer"].read_text(encoding="utf-8").partition("\nexpect")[0]
    side = 4 * round(size["tokens"] ** 0.5)
    for old, new in (
        ("tokens=64, inner=256", f"tokens={size['tokens']}, inner={4 * size['tokens']}"),
        *(("c128", f"c{size['channels']}"), ("}*8", f"}}*{size['depth']}"), ("3x32x32", f"3x{side}x{side}")),
    ):
        assert old in text
        text = text.replace(old, new)
    model = sewdsl.compile(f"{text}\n", seed=0).double()
    reference = Mixer(size["tokens"], size["channels"], size["depth"]).double()
    blocks = [layer for mixing in reference.blocks for layer in mixing_layers(mixing)]
    order = [reference.patches, reference.norm, *blocks, reference.classify]
    pairs = carry(reference, order, model)
    compare(reference, model, pairs, torch.randn(2, 3, side, side, dtype=torch.float64), 4)


def mixing_layers(mixing: nn.Module) -> list[nn.Module]:
    assert isinstance(mixing, Mixing)
    return [mixing.one, mixing.first, mixing.other, mixing.last]


class Interaction(nn.Module):
    """TIM on spikes ``[T, N, heads, tokens, channels of a head]``, one time-step after the other."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(tokens, tokens, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        mixed, v = [x[0]], torch.zeros_like(x[0])
        for q in x[1:]:
            current = self.conv(mixed[-1].flatten(0, 1)).view(q.shape)
            h = v + (current - v) / 2
            spikes: Tensor = Fire.apply(h - 0.3)  # type: ignore[no-untyped-call]
            v = h * (1 - spikes.detach())
            mixed.append(0.5 * spikes + 0.5 * q)
        return lif(torch.stack(mixed), 0.5)


@pytest.mark.usefixtures("plain_pytorch")
def test_temporal_interaction() -> None:
    """The module of the shipped network, on 16 tokens of 12 channels and 2 heads."""
    torch.manual_seed(1)
    head = shipped_networks()["tim"].read_text(encoding="utf-8").partition("\nnetwork ")[0]
    text = f"{head}\ninput 12x4x4\nsteps 5\nneuron LIF\nbody TIM (tokens=16, heads=2)\n"
    model, reference = sewdsl.compile(text, seed=0).double(), Interaction(16).double()
    nn.init.normal_(reference.conv.weight, std=0.3)
    pairs = carry(reference, [reference.conv], model)
    x = (torch.rand(5, 2, 12, 4, 4) < 0.4).double().requires_grad_()
    y = model(x, return_sequence=True)
    heads = x.flatten(3).view(5, 2, 2, 6, 16).transpose(3, 4)
    expected = reference(heads).transpose(3, 4).reshape(x.shape)
    assert 0.05 < float(y.detach().mean()) < 0.95
    assert torch.equal(y, expected)
    factors = torch.linspace(-1, 2, y.numel(), dtype=y.dtype).reshape(y.shape)
    ours = torch.autograd.grad((y * factors).sum(), [x, *(one for _, one in pairs)])
    theirs = torch.autograd.grad((expected * factors).sum(), [x, *(one for one, _ in pairs)])
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.reshape(other.shape), other, rtol=1e-11, atol=1e-11)
    stream, state = model.eval().stream(), None
    for x_N, y_N in zip(x.detach(), y, strict=True):
        found, state = stream(x_N, state)
        assert torch.equal(found, y_N)
