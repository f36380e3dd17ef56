"""Layers of maps on rows ``[C, L]``: the numbers of torch's own 1-D layers, and what has no form there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import sewdsl
from sewdsl.diagnostics import SewdslError
from sewdsl.passes import optimize_program, plan
from tests.words import raises

T, N, C, L = 3, 2, 4, 11
LAYERS: dict[str, Callable[[], nn.Module]] = {
    "c6k3": lambda: nn.Conv1d(C, 6, 3, padding=1),
    "c6k5s2p1b0": lambda: nn.Conv1d(C, 6, 5, 2, 1, bias=False),
    "c4k3d2g4": lambda: nn.Conv1d(C, 4, 3, padding=2, dilation=2, groups=4),
    "c8k1s3": lambda: nn.Conv1d(C, 8, 1, 3),
    "c4k3s2g4b0": lambda: nn.Conv1d(C, 4, 3, 2, 1, groups=4, bias=False),
    "MPk3s2p1": lambda: nn.MaxPool1d(3, 2, 1),
    "APk2": lambda: nn.AvgPool1d(2),
    "APk3s2p1": lambda: nn.AvgPool1d(3, 2, 1),
    "GAP": lambda: nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten()),
    "tc6k2s2": lambda: nn.ConvTranspose1d(C, 6, 2, 2),
    "tc6k3s2b0": lambda: nn.ConvTranspose1d(C, 6, 3, 2, 1, 1, bias=False),
    "UP2": lambda: nn.Upsample(scale_factor=2),
    "UP3(mode=bilinear)": lambda: nn.Upsample(scale_factor=3, mode="linear"),
    "BN": lambda: nn.BatchNorm1d(C),
    "GN2": lambda: nn.GroupNorm(2, C),
    "PReLU(shared=off)": lambda: nn.PReLU(C),
    "FC5": lambda: nn.Sequential(nn.Flatten(), nn.Linear(C * L, 5)),
}


def results(model: nn.Module, x: Tensor, **options: bool) -> tuple[Tensor, list[Tensor]]:
    shown = x.clone().requires_grad_()
    y: Tensor = model(shown, **options)
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)
    return y.detach(), list(torch.autograd.grad((y * weights).sum(), [shown, *model.parameters()]))


@pytest.mark.parametrize("frees", [False, True])
@pytest.mark.parametrize("text", LAYERS)
def test_layers_are_those_of_torch(text: str, *, frees: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if frees:
        monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", 0)
    torch.manual_seed(0)
    theirs = LAYERS[text]().double()
    mine = sewdsl.compile(text, input=f"{C}x{L}", steps=T).double()
    for source, target in zip(theirs.parameters(), mine.parameters(), strict=True):
        assert source.shape == target.shape
        target.data.copy_(source.data)
    x = torch.randn(T, N, C, L, dtype=torch.float64)
    y, gradients = results(mine, x, return_sequence=True)
    expected, wanted = results(theirs, x.flatten(0, 1))
    torch.testing.assert_close(y.flatten(0, 1), expected, rtol=1e-12, atol=1e-12)
    for one, other in zip(gradients, [wanted[0].view_as(x), *wanted[1:]], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_normalises_the_channels_of_each_place() -> None:
    x = torch.randn(T, N, C, L, dtype=torch.float64)
    y = sewdsl.compile("LN", input=f"{C}x{L}", steps=T).double()(x, return_sequence=True)
    torch.testing.assert_close(y, functional.layer_norm(x.movedim(2, -1), (C,)).movedim(-1, 2))


def test_attends_to_places() -> None:
    x = torch.randn(T, N, C, L, dtype=torch.float64)
    y = sewdsl.compile("ATTN(heads=2)[id | ReLU | id]", input=f"{C}x{L}", steps=T).double()(x, return_sequence=True)
    q, k, v = (each.reshape(T, N, 2, C // 2, L) for each in (x, x.relu(), x))
    torch.testing.assert_close(y, torch.einsum("tnhcq,tnhcp,tnhdp->tnhdq", q, k, v).flatten(2, 3))


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (
            "c4k3x5-FC2",
            "wrong-rank",
            "a convolution has 3x5 for height and width, but the input [4x11] has one axis",
        ),
        ("c4k3s1x2-FC2", "wrong-rank", "a convolution has 1x2"),
        ("MPk2x1-FC2", "wrong-rank", "pooling has 2x1"),
        ("tc4k3x1-FC2", "wrong-rank", "a transposed convolution has 3x1"),
        (
            "SA-FC2",
            "wrong-rank",
            "requires a [C, H, W] input, got [4x11]",
        ),
        ("c4k15p0-FC2", "spatial-size-exhausted", "convolution k15 does not fit an input of length 11"),
        ("MPk12-FC2", "spatial-size-exhausted", "max pooling k12 s12 does not fit an input of length 11"),
        (
            "GAP-c4k3",
            "wrong-rank",
            "a convolution requires a [C, H, W] or [C, L] input, got the vector [4]",
        ),
        ("ADD[GAP | SUM(over=places)]-FC2", "join-shape-mismatch", "[4]"),
    ],
)
def test_what_has_no_form_is_said(text: str, code: str, said: str) -> None:
    with pytest.raises(SewdslError) as caught:
        sewdsl.load(text, input="4x11")
    (found,) = caught.value.diagnostics
    assert found.code == code
    assert said in found.message


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("c4k3-MPk2-FC2", "cropped-input", "pooling k2 s2 ignores 1 position at the end of its 4x11 input"),
        ("c4k13-FC2", "oversized-kernel", "the 13 kernel is larger than its input, a row of length 11"),
    ],
)
def test_what_is_warned_of(text: str, code: str, said: str) -> None:
    (found,) = sewdsl.read(text, input="4x11").diagnostics
    assert (found.code, found.message) == (code, said)


def test_counts() -> None:
    network = sewdsl.load("c6k3s2b1-BN-LIF-tc4k2s2-GAP-FC5", input="4x11")
    conv, transposed = network.nodes[1], network.nodes[4]
    assert (network.parameters(conv), network.macs(conv)) == (6 * 4 * 3 + 6, 6 * 4 * 3 * 6)
    assert (network.parameters(transposed), network.macs(transposed)) == (6 * 4 * 2 + 4, 6 * 4 * 2 * 6)
    for node in (conv, transposed):
        met = node.op.fan_out(*network.inputs(node))
        assert met is not None
        assert met.rows == (1,)
        taps = met.total(1) * network.inputs(node)[0].channels
        assert taps == network.macs(node) - (
            2 * 6 * 4 if node is conv else 0
        )  # taps of the first and last window meet padding


def test_an_input_of_another_shape_is_refused() -> None:
    model = sewdsl.compile("c4k3-FC2", input="4x11", steps=2)
    with raises(ValueError):
        model(torch.zeros(2, 5, 11, 4))


def test_maps_stay_row_by_row() -> None:
    """torch has no channels-last format of rows."""
    assert not optimize_program(sewdsl.load("c4k3-BN-LIF-FC2", input="4x11")).channels_last
    assert optimize_program(sewdsl.load("c4k3-BN-LIF-FC2", input="4x11x11")).channels_last
