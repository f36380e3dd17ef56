"""Modules laid out as the code that Fang et al. 2021 released, in plain PyTorch: the same names, the same sums.

``imagenet/sew_resnet.py``, ``imagenet/spiking_resnet.py`` and ``dvsgesture/smodels.py`` of
fangwei123456/Spike-Element-Wise-ResNet; its neurons are those of SpikingJelly 0.0.0.0.4, whose ``w`` has the shape [1].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
CONNECT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ADD": lambda a, s: a + s,
    "AND": lambda a, s: a * s,
    "IAND": lambda a, s: s * (1.0 - a),
}


class SeqToANNContainer(nn.Module):
    """Layers that know no time, at each time-step of ``[T, N, *]``."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.module = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.module(x.flatten(0, 1))
        return y.reshape(*x.shape[:2], *y.shape[1:])


class IF(nn.Module):
    """H[t] = V[t-1] + X[t], hard reset to 0."""

    def charge(self, v: Tensor, x: Tensor) -> Tensor:
        return v + x

    def forward(self, x: Tensor) -> Tensor:
        v, spikes = torch.zeros_like(x[0]), []
        for x_N in x:
            v = self.charge(v, x_N)
            spikes.append((v >= 1).to(v.dtype))
            v = v * (1 - spikes[-1])
        return torch.stack(spikes)


class PLIF(IF):
    """H[t] = V[t-1] + (X[t] - V[t-1]) sigmoid(w)."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.Tensor([0.0]))

    def charge(self, v: Tensor, x: Tensor) -> Tensor:
        return v + (x - v) * self.w.sigmoid()


def convolution(before: int, after: int, kernel: int, stride: int = 1) -> SeqToANNContainer:
    conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)
    return SeqToANNContainer(conv, nn.BatchNorm2d(after))


class ImageNetBlock(nn.Module):
    """``BasicBlock`` (kernels 3, 3) and ``Bottleneck`` (1, 3, 1) of both files."""

    def __init__(
        self, widths: Sequence[int], kernels: Sequence[int], stride: int, *, sew: bool, node: type[IF]
    ) -> None:
        super().__init__()
        self.sew, self.depth = sew, len(kernels)
        for number, kernel in enumerate(kernels, 1):
            step = stride if number == (1 if self.depth == 2 else 2) else 1
            self.add_module(f"conv{number}", convolution(widths[number - 1], widths[number], kernel, step))
            self.add_module(f"sn{number}", node())
        self.downsample: nn.Module | None = None
        if stride != 1 or widths[0] != widths[-1]:
            projection = convolution(widths[0], widths[-1], 1, stride)
            self.downsample = nn.Sequential(projection, node()) if sew else projection

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for number in range(1, self.depth + 1):
            out = self.get_submodule(f"conv{number}")(out)
            if self.sew or number < self.depth:
                out = self.get_submodule(f"sn{number}")(out)
        out = out + (x if self.downsample is None else self.downsample(x))
        return out if self.sew else self.get_submodule(f"sn{self.depth}")(out)


class ImageNetNet(nn.Module):
    """``SEWResNet`` with ADD, ``SpikingResNet``."""

    def __init__(self, depth: int, *, sew: bool, node: type[IF] = IF, T: int = 2) -> None:
        super().__init__()
        self.T = T
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.sn1 = node()
        self.maxpool = SeqToANNContainer(nn.MaxPool2d(3, 2, 1))
        kernels, wider = ((3, 3), 1) if depth < 50 else ((1, 3, 1), 4)
        before = 64
        for stage, count in enumerate(DEPTHS[depth]):
            blocks = []
            for number in range(count):
                width = 64 * 2**stage
                widths = [before, *[width] * (len(kernels) - 1), wider * width]
                stride = 2 if stage and not number else 1
                blocks.append(ImageNetBlock(widths, kernels, stride, sew=sew, node=node))
                before = widths[-1]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(before, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)).unsqueeze(0).repeat(self.T, 1, 1, 1, 1)
        x = self.maxpool(self.sn1(x))
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        y: Tensor = self.fc(x.mean((3, 4)).mean(0))
        return y


class DVSBlock(nn.Module):
    """``SEWBlock``, ``PlainBlock`` and ``BasicBlock`` of ``smodels.py``."""

    def __init__(self, channels: int, kind: str, node: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.kind = kind
        last = convolution(channels, channels, 3)
        first = nn.Sequential(convolution(channels, channels, 3), node())
        self.conv = nn.Sequential(first, last if kind == "basic" else nn.Sequential(last, node()))
        if kind == "basic":
            self.sn = node()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        if self.kind == "basic":
            y: Tensor = self.sn(x + out)
            return y
        return out if self.kind == "plain" else CONNECT[self.kind](out, x)


class DVSNet(nn.Module):
    """``ResNetN``: of each width, a convolution that reaches it and then blocks, a pool after each of them.

    Args:
        widths: Of the blocks.
        kind: ``ADD``, ``AND``, ``IAND``, ``plain`` or ``basic``.
        kernel: Of the convolutions between the widths.
        classes: Outputs.
        node: Makes a neuron.
    """

    def __init__(
        self, widths: Sequence[int], kind: str, kernel: int, classes: int, node: Callable[[], nn.Module] = PLIF
    ) -> None:
        super().__init__()
        row: list[nn.Module] = []
        before = 2
        for width in widths:
            if width != before:
                row.append(nn.Sequential(convolution(before, width, kernel), node()))
            row += [DVSBlock(width, kind, node), SeqToANNContainer(nn.MaxPool2d(2, 2))]
            before = width
        self.conv = nn.Sequential(*row, nn.Flatten(2))
        self.out = nn.Linear(before * (128 >> len(widths)) ** 2, classes)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.out(self.conv(x).mean(0))
        return y
