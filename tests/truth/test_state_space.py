"""The shipped state-space network against convolutions with the kernel of S4D in plain PyTorch, in float64."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor, nn

import sewdsl
from sewdsl.snn import kernels
from tests.truth.plain import carry, each, lif, uneven_sum

WIDTH, N, T = 128, 16, 12


class S4D(nn.Module):
    """A filter along time with the kernel 2 Re(sum over n of C[n] exp(dt A[n] l)), and a skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.dt = nn.Parameter(torch.empty(WIDTH).uniform_(-3, -1))
        self.re = nn.Parameter(torch.full((N, WIDTH), 0.5).log() + 0.1 * torch.randn(N, WIDTH))
        self.im = nn.Parameter(pi * torch.arange(float(N))[:, None] + 0.1 * torch.randn(N, WIDTH))
        self.cr, self.ci = (nn.Parameter(torch.randn(N, WIDTH)) for _ in range(2))
        self.d = nn.Parameter(torch.randn(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        A = torch.complex(-self.re.exp(), self.im)
        decay = (self.dt.exp() * A)[None] * torch.arange(len(x))[:, None, None]
        kernel = 2 * (torch.complex(self.cr, self.ci) * decay.exp()).sum(1).real
        # A convolution by Fourier transforms needs zeros after the sequence.
        spectrum = torch.fft.rfft(x, 2 * len(x), 0) * torch.fft.rfft(kernel, 2 * len(x), 0)[:, None]
        y: Tensor = torch.fft.irfft(spectrum, 2 * len(x), 0)[: len(x)] + self.d * x
        return y


class SSM(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.s4d, self.fc, self.norm = S4D(), nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x + each(self.fc, lif(self.s4d(x))))
        return y


def test_s4d() -> None:
    torch.manual_seed(0)
    reference = nn.Sequential(nn.Linear(1, WIDTH), *(SSM() for _ in range(4)), nn.Linear(WIDTH, 10)).double()
    model = sewdsl.compile("s4d", seed=1, steps=T).double().eval()
    order = [module for module in reference.modules() if list(module.parameters(recurse=False))]
    pairs = carry(reference, order, model)
    x = torch.rand(T, 2, 1, dtype=torch.float64, requires_grad=True)
    with kernels.use_kernels("reference"):
        y, expected = model(x, return_sequence=True), reference(x)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-11)
    assert expected.std() > 0
    theirs = torch.autograd.grad(uneven_sum({"": expected}), [x, *(one for one, _ in pairs)])
    ours = torch.autograd.grad(uneven_sum({"": y}), [x, *(other for _, other in pairs)])
    for one, other in zip(ours, theirs, strict=True):
        scale = float(other.abs().max())
        assert scale > 0
        torch.testing.assert_close(one, other.reshape(one.shape), rtol=0, atol=1e-9 * scale)
