"""A shipped network with learned queries against modules of plain PyTorch, in float64."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

import sewdsl
from sewdsl.compiler import shipped_networks
from tests.truth.plain import carry, compare, layers_in_order

WIDTH, QUERIES = 16, 5
SMALLER = {
    "c256": f"c{WIDTH}",
    "2048": "24",
    "TOK100": f"TOK{QUERIES}",
    "c100k1": f"c{QUERIES}k1",
    "c360": "c24",
    "c151": "c7",
    "}*6": "}*2",
    "c32k7": "c4k7",
    "(c64)": "(c8)",
    "(c128)": "(c12)",
    "3x224x224": "3x32x32",
    "scale=0.125": "scale=2.0",
    "scale=0.0625": "scale=4.0",
}
"""Parts of the text with smaller sizes. The sum over few positions has a larger scale, so that its counts are not 0."""


def count(x: Tensor) -> Tensor:
    """Return the nearest count from 0 to 4, with gradient 1 in this range."""
    limited = x.clamp(0, 4)
    return limited + (limited.round() - limited).detach()


def spike(x: Tensor) -> Tensor:
    """Return the counts of a normalised neuron."""
    return count(x) / 4


def conv(i: int, o: int, k: int = 1, *, s: int = 1, p: int | None = None, g: int = 1, b: bool = False) -> nn.Conv2d:
    return nn.Conv2d(i, o, k, s, k // 2 if p is None else p, groups=g, bias=b)


class Spiking(nn.Sequential):
    """Layers after a neuron."""

    def forward(self, x: Tensor) -> Tensor:
        x = spike(x)
        for layer in self:
            x = layer(x)
        return x


def expanded(c: int, inner: int, k: int, *, b: bool = False) -> nn.Sequential:
    """Return two convolutions with neurons and norms."""
    one, other = conv(c, inner, k, b=b), conv(inner, c, k, b=b)
    return nn.Sequential(Spiking(one, nn.BatchNorm2d(inner)), Spiking(other, nn.BatchNorm2d(c)))


class ConvBlock(nn.Module):
    """A separable convolution, then two convolutions, with shortcuts of potentials."""

    def __init__(self, c: int) -> None:
        super().__init__()
        first = Spiking(conv(c, 2 * c), nn.BatchNorm2d(2 * c))
        self.separable = nn.Sequential(
            first, Spiking(conv(2 * c, 2 * c, 7, g=2 * c), conv(2 * c, c), nn.BatchNorm2d(c))
        )
        self.dense = expanded(c, 4 * c, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.separable(x)
        y: Tensor = x + self.dense(x)
        return y


def attention(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """Attention of eight heads without softmax, with channels before tokens: ``[N, C, L]``."""
    a, b, c = (x.view(len(x), 8, -1, x.shape[2]).transpose(2, 3) for x in (q, k, v))
    y: Tensor = (a @ b.transpose(2, 3) @ c * scale).transpose(2, 3).flatten(1, 2)
    return y


def rep_conv(c: int) -> list[nn.Module]:
    """Return the layers of a reparametrised convolution, and a norm."""
    norms = [nn.BatchNorm2d(c) for _ in range(3)]
    return [conv(c, c, p=1), norms[0], conv(c, c, 3, p=0, g=c), conv(c, c), norms[1], norms[2]]


class MetaBlock(nn.Module):
    """Attention between positions, then two 1x1 convolutions."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Sequential(*rep_conv(c)) for _ in range(3))
        self.project = Spiking(*rep_conv(c))
        self.mixed = expanded(c, 4 * c, 1, b=True)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (spike(part(spike(x))).flatten(2) for part in self.parts)
        x = x + self.project(attention(q, k, v, 2.0).view(x.shape))
        y: Tensor = x + self.mixed(x)
        return y


class Finer(nn.Module):
    """Coarse values added to finer features."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.lateral = Spiking(conv(c, WIDTH, b=True), nn.BatchNorm2d(WIDTH))
        self.output = Spiking(conv(WIDTH, WIDTH, 3, b=True), nn.BatchNorm2d(WIDTH))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        z: Tensor = self.output(self.lateral(x) + functional.interpolate(y, scale_factor=2))
        return z


class Project(nn.Module):
    """A linear layer on tokens ``[N, C, L]`` after a neuron."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.linear(spike(x).transpose(1, 2)).transpose(1, 2))
        return y


class Attend(nn.Module):
    """Attention of queries to keys."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.project = (Project(WIDTH, WIDTH) for _ in range(4))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        y: Tensor = self.project(attention(spike(self.q(q)), spike(self.k(k)), spike(self.v(v)), 4.0))
        return y


class DecoderLayer(nn.Module):
    """Attention between queries and to the image, then a feed-forward layer."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.seen = Attend(), Attend()
        self.one, self.other = Project(WIDTH, 24), Project(24, WIDTH)

    def forward(self, x: Tensor, embedding: Tensor, image: Tensor, placed: Tensor) -> Tensor:
        x = x + self.own(x + embedding, x + embedding, x)
        x = x + self.seen(x + embedding, placed, image)
        y: Tensor = x + self.other(self.one(x))
        return y


class Learned(nn.Module):
    """Learned numbers."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape))


class MaskFormer(nn.Module):
    """Classes and masks of learned queries."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 4, 7, s=2, b=True), nn.BatchNorm2d(4), ConvBlock(4))
        self.by4, self.by8, self.by16 = (
            nn.Sequential(Spiking(conv(i, o, 3, s=2, b=True), nn.BatchNorm2d(o)), *blocks)
            for i, o, blocks in (
                (4, 8, [ConvBlock(8)]),
                (8, 12, [ConvBlock(12), ConvBlock(12)]),
                (12, 16, [MetaBlock(16), MetaBlock(16)]),
            )
        )
        self.top = nn.Sequential(Spiking(conv(16, 24, 3, b=True), nn.BatchNorm2d(24)), MetaBlock(24), MetaBlock(24))
        self.coarse = Spiking(conv(24, WIDTH, 3, b=True), nn.BatchNorm2d(WIDTH))
        self.finer = nn.ModuleList(Finer(c) for c in (12, 8, 4))
        self.pixels = Spiking(conv(WIDTH, WIDTH, 3, b=True))
        self.image = conv(24, WIDTH, b=True)
        self.position, self.embedding, self.start = (
            Learned(WIDTH, 2, 2),
            Learned(WIDTH, QUERIES),
            Learned(WIDTH, QUERIES),
        )
        self.layers = nn.ModuleList(DecoderLayer() for _ in range(6))
        embed = [nn.Linear(WIDTH, WIDTH, bias=last) for last in (False, False, True)]
        for linear in embed:
            nn.init.normal_(linear.weight, std=0.5)
        self.embed = nn.ModuleList(embed)
        self.mix, self.norm, self.factor = nn.Linear(QUERIES, QUERIES, bias=False), nn.BatchNorm1d(QUERIES), Learned()
        self.classes = nn.Linear(WIDTH, 7)

    def forward(self, x_TN: Tensor) -> dict[str, Tensor]:
        (x,) = x_TN
        features = [self.stem(x)]
        for stage in (self.by4, self.by8):
            features.append(stage(features[-1]))
        last = self.top(self.by16(features[-1]))
        y = self.coarse(last)
        for finer, feature in zip(self.finer, reversed(features), strict=True):
            y = finer(feature, y)
        image = self.image(last)
        placed, image = (image + self.position.weight).flatten(2), image.flatten(2)
        query = self.start.weight.expand(len(x), -1, -1)
        for layer in self.layers:
            query = layer(query, self.embedding.weight, image, placed)
        counts = count(query.sigmoid()).transpose(1, 2)  # [N, queries, channels]
        hidden = counts
        for number, linear in enumerate(self.embed):
            hidden = linear(count(hidden) if number else hidden)
        mixed = self.norm(self.mix(counts.transpose(1, 2)).transpose(1, 2))
        embedded = count(hidden + self.factor.weight * mixed)
        masks = torch.einsum("nqc,nchw->nqhw", embedded, self.pixels(y))
        return {"masks": masks[None], "classes": self.classes(counts).transpose(1, 2)[None]}


def test_a_maskformer() -> None:
    torch.manual_seed(0)
    text = shipped_networks()["spiking-maskformer"].read_text(encoding="utf-8").partition("\nexpect")[0]
    for old, new in SMALLER.items():
        assert old in text
        text = text.replace(old, new)
    model = sewdsl.compile(f"{text}\n", seed=0).double().eval()
    reference = MaskFormer().double().eval()
    pairs = carry(reference, layers_in_order(reference), model)
    compare(reference, model, pairs, torch.randn(2, 3, 32, 32, dtype=torch.float64), 1)
