"""Layers without memory: each step as torch's own layer does it, statistics and masks over all steps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

import sewdsl
from sewdsl.snn.runtime import Runtime
from sewdsl.user_error import UserError
from tests.effort import examples
from tests.words import raises


def frames(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def pairs() -> list[tuple[nn.Module, nn.Module]]:
    """The runtime's layer and torch's, the same weights in both."""
    conv, same_conv = Runtime.Conv2d(4, 6, 3, 2, 1, 1, 2, bias=True), nn.Conv2d(4, 6, 3, 2, 1, 1, 2, bias=True)
    linear, same_linear = Runtime.Linear(4 * 6 * 6, 5, bias=False), nn.Linear(4 * 6 * 6, 5, bias=False)
    same_conv.load_state_dict(conv.state_dict())
    turned, same_turned = (kind(4, 6, 3, 2, 1, 1, 2) for kind in (Runtime.ConvTranspose2d, nn.ConvTranspose2d))
    same_turned.load_state_dict(turned.state_dict())
    grouped, same_grouped, slopes, same_slopes = Runtime.GroupNorm(2, 4), nn.GroupNorm(2, 4), *two_slopes()
    nn.init.normal_(grouped.weight)
    same_grouped.load_state_dict(grouped.state_dict())
    same_linear.load_state_dict(linear.state_dict())
    return [
        (conv, same_conv),
        (linear, nn.Sequential(nn.Flatten(), same_linear)),
        (Runtime.MaxPool2d(3, 2, 1), nn.MaxPool2d(3, 2, 1)),
        (Runtime.AvgPool2d((2, 3), (2, 1), (1, 0)), nn.AvgPool2d((2, 3), (2, 1), (1, 0))),
        (Runtime.GlobalAvgPool(), nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())),
        (Runtime.Flatten(), nn.Flatten()),
        (Runtime.ReLU(), nn.ReLU()),
        (turned, same_turned),
        (Runtime.Upsample(3), nn.Upsample(scale_factor=3)),
        (Runtime.Upsample(2, "bilinear"), nn.Upsample(scale_factor=2, mode="bilinear")),
        (Runtime.Padding((1, 2)), nn.ZeroPad2d((2, 2, 1, 1))),
        (Runtime.Padding((3, 0), "reflect"), nn.ReflectionPad2d((0, 0, 3, 3))),
        (Runtime.Fourier(), Spectrum(inverse=False)),
        (Runtime.Fourier(inverse=True), Spectrum(inverse=True)),
        (grouped, same_grouped),
        (slopes, same_slopes),
        (Runtime.PReLU(1, 0.1), nn.PReLU(init=0.1)),
        (Runtime.GELU(), nn.GELU()),
        (Runtime.SiLU(), nn.SiLU()),
        (Runtime.Sigmoid(), nn.Sigmoid()),
        (Runtime.Tanh(), nn.Tanh()),
        (Runtime.Identity(), nn.Identity()),
    ]


class Spectrum(nn.Module):
    """PyTorch's transform of a map, with the real and imaginary parts as channels."""

    def __init__(self, *, inverse: bool) -> None:
        super().__init__()
        self.inverse = inverse

    def forward(self, x: Tensor) -> Tensor:
        if self.inverse:
            values: Tensor = torch.fft.irfft2(torch.complex(x[:, ::2], x[:, 1::2]), norm="ortho")
            return values
        spectrum = torch.fft.rfft2(x, norm="ortho")
        return torch.stack((spectrum.real, spectrum.imag), 2).flatten(1, 2)


def two_slopes() -> tuple[nn.Module, nn.Module]:
    """The runtime's PReLU and torch's, with a slope for each of four channels."""
    ours, theirs = Runtime.PReLU(4), nn.PReLU(4)
    nn.init.normal_(ours.weight)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize("index", range(len(pairs())))
def test_every_step_is_torchs_own_layer(index: int) -> None:
    layer, same = pairs()[index]
    x = frames(3, 2, 4, 6, 6)
    torch.testing.assert_close(layer(x), torch.stack([same(step) for step in x]))
    assert layer(x[:, :0]).shape == (3, 0, *layer(x).shape[2:])


@examples(30)
@given(data=st.data())
def test_padding_of_maps_of_all_shapes(data: st.DataObject) -> None:
    """The values and gradients of PyTorch's padding, and the shape and range of the signal."""
    size = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=2))
    mode = data.draw(st.sampled_from(["zeros", "reflect"]))
    pads = [data.draw(st.integers(0, length - 1 if mode == "reflect" else 7)) for length in size]
    text = f"IF-PAD{'x'.join(map(str, pads))}(mode={mode})"
    model = sewdsl.compile(text, input="x".join(map(str, (3, *size))), steps=4)
    source, output = model.network.nodes[-2].output, model.network.nodes[-1].output
    assert output.values == source.values
    assert output.shape == (3, *(length + 2 * pad for length, pad in zip(size, pads, strict=True)))
    x = frames(4, 2, 3, *size).requires_grad_()
    y = model.get_submodule("pad1")(x)
    sides = [pad for pad in reversed(pads) for _ in "12"]
    expected = functional.pad(x.flatten(0, 1), sides, "reflect" if mode == "reflect" else "constant")
    expected = expected.view(4, 2, *expected.shape[1:])
    assert torch.equal(y, expected)
    g = frames(*y.shape)
    assert torch.equal(*(torch.autograd.grad(value, x, g)[0] for value in (y, expected)))


def test_parameters_have_plain_names() -> None:
    statistics = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert list(Runtime.Conv2d(1, 1, 1).state_dict()) == ["weight", "bias"]
    assert list(Runtime.Linear(1, 1).state_dict()) == ["weight", "bias"]
    assert list(Runtime.BatchNorm(1).state_dict()) == statistics


def test_linear_takes_vectors() -> None:
    layer = Runtime.Linear(7, 3)
    x = frames(3, 2, 7)
    torch.testing.assert_close(layer(x), functional.linear(x, layer.weight, layer.bias))


def test_voting_is_the_mean_of_neighbours() -> None:
    votes = torch.tensor([1.0, 0, 1, 1, 0, 0]).expand(2, 3, 6)
    assert Runtime.VotingPool(3)(votes)[0, 0].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert Runtime.VotingPool(3)(votes[:, :0]).shape == (2, 0, 2)


@pytest.mark.parametrize("shape", [(3, 2, 4, 5, 5), (3, 2, 4)])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_batch_norm_takes_statistics_over_time_and_samples(shape: tuple[int, ...], scale: float) -> None:
    layer, same = Runtime.BatchNorm(4, scale=scale), nn.BatchNorm1d(4)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, -2, 0.5, 3]))
        layer.bias.copy_(torch.tensor([0.0, 1, 2, 3]))
        same.weight.copy_(layer.weight * scale)
        same.bias.copy_(layer.bias)
    x = frames(*shape) + 3
    values = x.movedim(2, 0).flatten(1).T  # every value of a channel as a sample of its own
    for training in (True, False):
        layer.train(training)
        same.train(training)
        torch.testing.assert_close(layer(x).movedim(2, 0).flatten(1).T, same(values))
    torch.testing.assert_close(layer.running_mean, same.running_mean)
    torch.testing.assert_close(layer.running_var, same.running_var)
    assert layer.num_batches_tracked.item() == 1


def test_batch_norm_starts_where_it_is_said() -> None:
    model = sewdsl.compile("BN(weight=0.5)-tdBN(weight=0)-IF(v_threshold=0.5)", input="4")
    state = model.state_dict()
    assert state["bn1.weight"].tolist() == [0.5] * 4
    assert state["tdbn1.weight"].tolist() == [0.0] * 4
    assert state["bn1.bias"].tolist() == [0.0] * 4


def test_batch_norm_keeps_its_arguments() -> None:
    layer = Runtime.BatchNorm(3, eps=1e-3, momentum=0.3)
    assert (layer.eps, layer.momentum) == (1e-3, 0.3)
    averaging = Runtime.BatchNorm(3, momentum=None)
    x = frames(2, 4, 3)
    averaging(x)
    averaging(3 * x)
    torch.testing.assert_close(averaging.running_mean, 2 * x.mean((0, 1)))


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 0, 3, 4, 4)])
def test_batch_norm_refuses_to_train_on_too_little(shape: tuple[int, ...]) -> None:
    layer = Runtime.BatchNorm(3)
    with raises(UserError):  # in a training too, where the last batch of an epoch may be small
        layer(torch.ones(shape))
    assert layer.num_batches_tracked.item() == 0
    assert layer.eval()(torch.ones(shape)).shape == shape


@pytest.mark.parametrize("parameters", [torch.bfloat16, torch.float32])
def test_batch_norm_adds_gradients_of_16_bits_in_float32(parameters: torch.dtype) -> None:
    """The output gradient has another memory format than the input, and its parts per channel cancel each other."""
    x, g = frames(2, 3, 4, 8, 8).bfloat16(), (1 + 0.1 * frames(2, 3, 4, 1, 1)).expand(2, 3, 4, 8, 8).bfloat16()
    gradients = {}
    for dtype in (torch.bfloat16, torch.float64):
        layer = Runtime.BatchNorm(4).to(parameters if dtype is torch.bfloat16 else dtype)
        maps = x.to(dtype).flatten(0, 1).contiguous(memory_format=torch.channels_last).view(2, 3, 4, 8, 8)
        layer(maps.requires_grad_()).backward(g.to(dtype))
        gradients[dtype] = maps.grad, layer.weight.grad, layer.bias.grad, layer.running_mean, layer.running_var
    for found, expected in zip(*gradients.values(), strict=True):
        assert (found.double() - expected).norm() < 2**-7 * expected.norm()


def test_batch_norm_without_weight_is_its_bias_exactly() -> None:
    layer = Runtime.BatchNorm(4)
    nn.init.zeros_(layer.weight)
    nn.init.constant_(layer.bias, 1.4)
    for training in (True, False):
        assert (layer.train(training)(frames(3, 2, 4, 5, 5) * 100) == torch.tensor(1.4)).all()


def test_dropout_draws_one_mask_for_all_steps() -> None:
    layer = Runtime.Dropout(0.25)
    torch.manual_seed(0)
    y = layer(torch.ones(5, 4, 2000))
    assert (y == y[0]).all()
    assert not (y[:, 0] == y[:, 1]).all()
    assert y.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (y == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert not torch.equal(layer(torch.ones(5, 4, 2000)), y)
    x = frames(5, 4, 3)
    assert torch.equal(layer.eval()(x), x)


def test_drop_path_silences_samples_at_all_steps() -> None:
    layer = Runtime.DropPath(0.25)
    torch.manual_seed(0)
    y = layer(torch.ones(3, 4000, 2, 1, 2))
    assert (y == y[:1, :, :1, :1, :1]).all()
    assert y.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (y[0, :, 0, 0, 0] == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    x = frames(3, 2, 4)
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize("shape", [(3, 2, 4, 5, 6), (3, 2, 4)])
def test_layer_norm_is_that_of_tokens(shape: tuple[int, ...]) -> None:
    """The channels of each place, as torch's layer norm has them on its last axis."""
    layer, same = Runtime.LayerNorm(4, 1e-3), nn.LayerNorm(4, 1e-3)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    same.load_state_dict(layer.state_dict())
    x = frames(*shape)
    assert torch.equal(layer(x).movedim(2, -1), same(x.movedim(2, -1)))


def test_a_learned_factor_is_one_parameter() -> None:
    fixed, learned = Runtime.Scale(0.5, learn=False), Runtime.Scale(0.5, learn=True)
    x = frames(3, 2, 4)
    assert torch.equal(fixed(x), x / 2)
    assert torch.equal(learned(x), x / 2)
    assert list(fixed.parameters()) == []
    assert [each.shape for each in learned.parameters()] == [()]
    assert learned(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("encode", ["none", "direct"])
@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("text", ["DP(p=0.25, per=step)", "LOOP[DP(p=0.25, per=step) | DELAY-SCALE(value=0.1)]"])
def test_each_time_step_has_a_mask(text: str, level: int, encode: str) -> None:
    """The masks of time-steps differ and have the same seed, and their gradients are the masks."""
    network = sewdsl.load(text, input="40x6x5", steps=3, set={"encode": encode})
    model = sewdsl.compile(network, optimize=level, seed=0)
    x = (torch.ones(2, 40, 6, 5) if encode == "direct" else torch.ones(3, 2, 40, 6, 5)).requires_grad_()
    torch.manual_seed(4)
    y = model(x, return_sequence=True)
    dropped = y < 0.9
    assert all(torch.allclose(share, torch.tensor(0.25), atol=0.04) for share in dropped.float().mean((1, 2, 3, 4)))
    assert all(0.3 < (dropped[0] != dropped[step]).float().mean() < 0.45 for step in (1, 2))
    torch.manual_seed(4)
    assert torch.equal(model(x, return_sequence=True), y)
    if "LOOP" not in text:
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert torch.equal(gradient, y.sum(0) if encode == "direct" else y)
    model.eval()
    assert not (model(x, return_sequence=True) < 0.9).any()


def test_masks_of_time_steps_are_those_of_all_levels() -> None:
    """Recomputation does not draw the masks again."""
    text = "c16k3-BN-IF-DP(per=step)-SEW Block (c16)-DP(p=0.2, per=step)-GAP-FC3"
    network = sewdsl.load(text, input="2x12x12", steps=4)
    x, outcomes = frames(4, 3, 2, 12, 12), []
    for level in (0, 1, 2):
        model = sewdsl.compile(network, optimize=level, seed=0).double()
        torch.manual_seed(1)
        y = model(x.double(), return_sequence=True)
        gradients = torch.autograd.grad(y.square().sum(), [*model.parameters()])
        outcomes.append((y, *gradients))
    for other in outcomes[1:]:
        torch.testing.assert_close(outcomes[0], other)


def test_streams_in_training_mode_draw_masks_of_single_time_steps() -> None:
    model = sewdsl.compile("DP(per=step)", input="40x5", steps=3)
    y, state = model.stream()(torch.ones(2, 40, 5))
    other, _ = model.stream()(torch.ones(2, 40, 5), state)
    assert {*y.unique().tolist()} == {0, 2}
    assert not torch.equal(y, other)


def test_layers_print_their_arguments() -> None:
    assert str(Runtime.Dropout(0.25)) == "Dropout(p=0.25)"
    assert str(Runtime.StepDropout(0.25)) == "StepDropout(p=0.25)"
    assert str(Runtime.Upsample(2)) == "Upsample(factor=2, mode=nearest)"
    assert str(Runtime.Scale(0.5, learn=False)) == "Scale(0.5, learn=False)"
    assert str(Runtime.VotingPool(10)) == "VotingPool(kernel=10)"
    assert str(Runtime.BatchNorm(3, scale=0.5)).endswith("scale=0.5)")
