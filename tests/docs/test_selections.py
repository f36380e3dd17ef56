"""The networks of *Selections and samplings* compute what PyTorch computes, with its gradients."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

import sewdsl
from sewdsl.lower import SpikingNetwork
from tests.docs.fences import fences

PAGE = Path(__file__).parents[2] / "docs" / "attention.md"
LEVELS = pytest.mark.parametrize("level", [0, 2])


@pytest.fixture
def page(tmp_path: Path) -> Path:
    for fence in fences(PAGE):
        if fence.title:
            (tmp_path / fence.title).write_text(fence.text, encoding="utf-8")
    return tmp_path


def compiled(path: Path, level: int) -> SpikingNetwork:
    return sewdsl.compile(path, seed=0, optimize=level).double().eval()


def assert_equal(computed: Tensor, expected: Tensor, *inputs: Tensor) -> None:
    """Compare two results, and the gradients of a random sum of each."""
    torch.testing.assert_close(computed, expected)
    factors = torch.rand_like(expected)
    for one, other in zip(
        torch.autograd.grad((computed * factors).sum(), inputs),
        torch.autograd.grad((expected * factors).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@LEVELS
def test_bilinear_samples(page: Path, level: int) -> None:
    torch.manual_seed(0)
    values = torch.rand(3, 4, 6, 8, dtype=torch.float64, requires_grad=True)
    # Some targets are outside of the values.
    target = torch.rand(3, 2, 3, 5, dtype=torch.float64) * torch.tensor([8.0, 10.0]).view(2, 1, 1) - 1.5
    target.requires_grad_()
    grid = torch.stack([2 * target[:, 1] / 7 - 1, 2 * target[:, 0] / 5 - 1], -1)
    expected = grid_sample(values, grid, align_corners=True, padding_mode="zeros")
    assert_equal(compiled(page / "sample.net", level)(values, target), expected, values, target)


@LEVELS
def test_largest(page: Path, level: int) -> None:
    torch.manual_seed(0)
    x = torch.rand(3, 6, 4, 5, dtype=torch.float64, requires_grad=True)
    score = x.detach().mean(1).flatten(1)
    mask = torch.zeros_like(score).scatter(1, score.topk(3).indices, 1).view(3, 1, 4, 5)
    assert_equal(compiled(page / "largest.net", level)(x), x * mask, x)


@LEVELS
def test_additions_at_other_positions(page: Path, level: int) -> None:
    torch.manual_seed(0)
    values = torch.rand(3, 4, 7, dtype=torch.float64, requires_grad=True)
    target = torch.randint(10, (3, 1, 7))
    expected = torch.zeros(3, 4, 10, dtype=torch.float64).scatter_add(2, target.expand(3, 4, 7), values)
    assert_equal(compiled(page / "scatter.net", level)(values, target.double()), expected, values)


def test_a_window_reads_only_itself(page: Path) -> None:
    """The windows of 16 of 8x8 positions are two rows each."""
    text = (page / "local.net").read_text(encoding="utf-8")
    head, _, _ = text.partition("body")
    head = head.replace("2x32x32", "32x8x8").replace("-BN-SN", "").replace("]-SN", "]")
    (page / "window.net").write_text(f"{head}body Window\n", encoding="utf-8")
    model = compiled(page / "window.net", 1)
    x = torch.rand(4, 1, 32, 8, 8, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(x)[:, :, 2:4].sum(), x)
    read = gradient.abs().sum((0, 1, 2, 4)) > 0
    assert read.tolist() == [False, False, True, True, False, False, False, False]
