"""Shipped networks with several inputs, several outputs or an image as output, against their own modules."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

import sewdsl
from tests.truth.plain import carry, compare, each, layers_in_order, lif


class Unit(nn.Module):
    """Convolution and norm, with neurons at the end."""

    def __init__(self, c: int, out: int, k: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c, out, k, stride, k // 2, bias=False)
        self.norm = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        return lif(each(self.norm, each(self.conv, x)))


class Block(nn.Module):
    """SEW block, which adds the spikes of its input or of their projection."""

    def __init__(self, c: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.first, self.second = Unit(c, out, 3, stride), Unit(out, out)
        self.shortcut = Unit(c, out, 1, stride) if c != out or stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x)) + (x if self.shortcut is None else self.shortcut(x))
        return y


class Siamese(nn.Module):
    """Layers for one image, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two = Unit(1, 32), Block(32, 64), Block(64, 64)
        self.encode, self.decide = nn.Linear(64, 64), nn.Linear(64, 2)
        self.pool = nn.MaxPool2d(2)

    def eye(self, x: Tensor) -> Tensor:
        y = each(self.pool, self.one(each(self.pool, self.stem(x))))
        z: Tensor = self.encode(self.two(y).mean((3, 4))).sigmoid()
        return z

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        first, second = self.eye(left), self.eye(right)
        y: Tensor = self.decide((first - second).abs())
        return y


@pytest.mark.parametrize("training", [True, False])
def test_siamese(*, training: bool) -> None:
    torch.manual_seed(0)
    model = sewdsl.compile("siamese", seed=0, steps=3).double().train(training)
    reference = Siamese().double().train(training)
    order = layers_in_order(reference)
    pairs = carry(reference, order, model)
    left, right = torch.randn(2, 3, 1, 28, 28, dtype=torch.float64)
    compare(reference, model, pairs, {"left": left, "right": right}, 3)
    for module, other in zip(order, layers_in_order(model), strict=True):
        if isinstance(module, nn.BatchNorm2d):  # updated by both calls
            torch.testing.assert_close(other.running_mean, module.running_mean)
            torch.testing.assert_close(other.running_var, module.running_var)
    assert [key for key in model.state_dict() if key.startswith("Eye2")] == []


class Exit(nn.Module):
    """Classifier of an inner layer."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.unit, self.classify = Unit(c, 256, 3, 2), nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classify(self.unit(x).mean((3, 4)))
        return y


class Exits(nn.Module):
    """SEW ResNet of three stages with an exit after each stage."""

    def __init__(self) -> None:
        super().__init__()
        self.low = nn.Sequential(Unit(3, 64), Block(64, 64), Block(64, 64))
        self.middle = nn.Sequential(Block(64, 128, 2), Block(128, 128))
        self.high = nn.Sequential(Block(128, 256, 2), Block(256, 256))
        self.early, self.mid, self.last = Exit(64), Exit(128), nn.Linear(256, 10)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        low = self.low(x)
        middle = self.middle(low)
        last = self.last(self.high(middle).mean((3, 4)))
        return {"early": self.early(low), "mid": self.mid(middle), "last": last}


def test_exits() -> None:
    torch.manual_seed(0)
    model, reference = sewdsl.compile("early-exits", seed=0, steps=2).double(), Exits().double()
    pairs = carry(reference, layers_in_order(reference), model)
    compare(reference, model, pairs, torch.randn(1, 3, 32, 32, dtype=torch.float64), 2)


class Autoencoder(nn.Module):
    """Encoder to 128 spikes, and decoder to an image."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 128, 256)
        self.encoder = nn.Sequential(*(Unit(a, b, 3, 2) for a, b in pairwise(widths)))
        self.code, self.spread = nn.Linear(1024, 128), nn.Linear(128, 1024)
        pairs = list(pairwise((256, 256, 128, 64, 32)))
        ups = [nn.ConvTranspose2d(a, b, 3, 2, 1, 1, bias=False) for a, b in pairs]
        self.decoder = nn.ModuleList(layer for up in ups for layer in (up, nn.BatchNorm2d(up.out_channels)))
        self.image = nn.Conv2d(32, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        latent = lif(self.code(self.encoder(x).flatten(2)))
        y = lif(self.spread(latent)).reshape(*x.shape[:2], 256, 2, 2)
        for up, norm in zip(self.decoder[::2], self.decoder[1::2], strict=True):
            y = lif(each(norm, each(up, y)))
        return each(self.image, y).tanh()


def test_autoencoder() -> None:
    torch.manual_seed(0)
    model, reference = sewdsl.compile("fsvae", seed=0, steps=4).double(), Autoencoder().double()
    with torch.no_grad():
        for layer in (reference.code, reference.spread):
            layer.weight *= 8  # so that the neurons after it fire
    pairs = carry(reference, layers_in_order(reference), model)
    compare(reference, model, pairs, torch.randn(2, 3, 32, 32, dtype=torch.float64), 4)
