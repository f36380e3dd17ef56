"""Modules that do what the language has no word for, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
import snntorch
import torch
from spikingjelly.activation_based import layer, neuron, surrogate
from spikingjelly.activation_based.model import sew_resnet
from torch import Tensor, nn

from sewdsl.exchange.read.draft import ModelImportError
from sewdsl.exchange.read.torch_modules import read_module
from tests.exchange.incoming.test_modules import ATAN, Written, built, conv, neurons
from tests.words import check_words, raises

SHAPE = (2, 8, 8)
LAYERS: dict[str, tuple[nn.Module, str]] = {
    "class": (nn.InstanceNorm2d(2), "calls torch.nn.functional.instance_norm, which has no equivalent in sewdsl"),
    "activation": (nn.Mish(), "calls torch.nn.functional.mish, which has no equivalent in sewdsl"),
    "mode": (conv(padding_mode="reflect"), "has padding_mode 'reflect', expected 'zeros'"),
    "padding": (nn.Conv2d(2, 2, 4, padding="same"), "has padding 'same' that is larger on one side"),
    "channels": (conv(3), "expects 3 channels or features, got 2"),
    "linear": (nn.Linear(8, 8), "applies a linear layer to a feature map"),
    "statistics": (nn.BatchNorm2d(2, track_running_stats=False), "has no running statistics"),
    "momentum": (nn.BatchNorm2d(2, momentum=None), "has momentum=None, a cumulative average"),
    "dilation": (nn.MaxPool2d(2, dilation=2), "uses dilation or return_indices, which max pooling in sewdsl does not"),
    "ceil": (nn.MaxPool2d(3, ceil_mode=True), "rounds up the output size of 2x8x8; sewdsl rounds down"),
    "count": (nn.AvgPool2d(2, padding=1, count_include_pad=False), "does not divide by the full window size"),
    "adaptive": (nn.AdaptiveAvgPool2d(3), "pools 8x8 to 3x3, with windows of different sizes"),
    "flatten": (nn.Flatten(1, 2), "flattens axes 1 to 2 of [N, *]; expected all axes of a feature map"),
    "probability": (nn.Dropout(1.0), "has a value that DP does not accept: p: Input should be less than 1"),
    "large": (nn.Conv2d(2, 2, 11), "does not fit: convolution k11 does not fit an 8x8 input"),
    "neuron": (neuron.QIFNode(), "is not supported; supported SpikingJelly neurons are IFNode, LIFNode"),
    "snntorch": (snntorch.Leaky(0.9), "is not supported; export snnTorch models with export_to_nir and import the"),
    "gaussian": (neuron.IFNode(surrogate_function=surrogate.Erf()), "has the surrogate Erf, which has no equivalent"),
    "primitive": (neuron.IFNode(surrogate_function=surrogate.ATan(spiking=False)), "outputs the primitive function"),
    "undivided": (neuron.ParametricLIFNode(decay_input=False, **ATAN), "has a learnable tau with decay_input=False"),
    "voting": (layer.VotingLayer(2), "votes over a feature map"),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_named(name: str) -> None:
    module, said = LAYERS[name]
    mine = nn.Sequential(nn.Identity(), nn.Sequential(nn.Identity(), module)).double()
    with pytest.raises(ModelImportError) as caught:
        read_module(mine, SHAPE)
    assert "1.1 (" in str(caught.value)
    assert said in str(caught.value)


class Mine(nn.Conv2d):
    """Module that differs from its parent class."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(super().forward(x))


class Constant(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), 3)


CALLS: dict[str, tuple[Callable[[Any, Tensor], Any], str]] = {
    "numbers": (lambda m, x: m.a(x) if x.sum() > 0 else x, "sums over unsupported axes; expected time-steps"),
    "a value": (lambda m, x: m.a(x) if bool(x[0, 0, 0, 0] > 0) else x, "indexes a tensor"),
    "comparison": (lambda m, x: m.a(x) * (x > 0), "calls torch.Tensor.gt, which has no equivalent"),
    "parameter": (lambda m, x: m.a(x) + m.a.bias[:, None, None], "adds a value that is not computed from the input"),
    "weight": (lambda m, x: m.a(x) * m.a.weight[0, 0, 0, 0], "multiplies by a value that is not computed"),
    "concatenation": (lambda m, x: torch.cat([m.a(x), x], 1), "calls torch.cat, which has no equivalent"),
    "transposed": (lambda m, x: m.a(x).transpose(1, 2), "calls torch.Tensor.transpose, which has no equivalent"),
    "mixed": (lambda m, x: m.a(x).reshape(x.shape[0], 4, 4, 8), "reshapes [N, *] to [7, 4, 4, 8], which mixes axes"),
    "divisor": (lambda m, x: torch.div(1, m.a(x)), "divides; only division by a number is supported"),
    "from two": (lambda m, x: torch.rsub(m.a(x), 2), "subtracts; only 1 - x of spikes is supported"),
    "unflattened": (lambda m, x: m.a(x).unflatten(1, (1, 2)), "unflattens axis 1 of [N, *]; only [T·N, *] to"),
    "inserted": (lambda m, x: m.a(x).unsqueeze(1), "inserts axis 1 into [N, *]; only axis 0 is supported"),
    "pooled": (lambda m, x: nn.functional.max_pool2d(m.a(x).flatten(1), 2), "pools a vector; expected a feature map"),
    "unflat": (lambda m, x: nn.functional.linear(x, m.a.weight), "applies a linear layer to a feature map; flatten it"),
    "samples": (lambda m, x: m.a(x).mean(0), "averages over unsupported axes; expected height and width"),
    "difference": (lambda m, x: m.a(x) - x, "subtracts; only 1 - x of spikes is supported"),
    "complement": (lambda m, x: m.a(1 - x), "reads 1 - x, which is supported in products of spikes only"),
    "several": (lambda m, x: (m.a(x), x), "the module returns tuple, expected one tensor computed from its input"),
    "shapes": (lambda m, x: m.a(x) + x.flatten(1), "does not fit: the branch has shape [2x8x8] but the shortcut"),
    "two inputs": (lambda m, x: m.a(x, x), "takes several arguments, or one that is not computed from the input"),
    "computed": (lambda m, x: nn.functional.linear(x, m.a.weight[0, 0] * 2), "multiplies by a computed matrix"),
    "aliased": (
        lambda m, x: (y := m.a(x), z := y.flatten(1), y.relu_(), z)[3] + 0,
        "reads a tensor that was modified in place through another tensor",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_a_forward_that_does_more(name: str) -> None:
    forward, said = CALLS[name]
    with pytest.raises(ModelImportError) as caught:
        read_module(Written(forward, a=conv()).double(), SHAPE)
    assert said in str(caught.value)


STEPPED: dict[str, tuple[Callable[[Any, Tensor], Any], str]] = {
    "complement": (lambda m, x: 1 - m.n(x), "the module returns [T·N, *] or 1 - x, expected [T, N, *] or [N, *]"),
    "folded": (lambda m, x: m.a(x.flatten(0, 1)), "the module returns [T·N, *] or 1 - x, expected"),
    "axes": (lambda m, x: m.a(x.flatten(0, 1)) + x, "combines [T, N, *] and [T·N, *]"),
    "twice": (lambda m, x: m.n(x).mean(0) + x.sum(0), "reduces over time-steps twice, or reduces 1 - x"),
    "repeated": (lambda m, x: m.n(x.unsqueeze(0).repeat(4, 1, 1, 1, 1)).mean(0).expand(4, *x.shape), "and only once"),
    "mode": (lambda m, x: m.n(m.a(x)), "is in multi-step mode, but its input is [N, *]"),
}  # fmt: skip


@pytest.mark.parametrize("name", STEPPED)
def test_a_forward_over_time_steps_that_does_more(name: str) -> None:
    forward, said = STEPPED[name]
    with pytest.raises(ModelImportError) as caught:
        read_module(Written(forward, a=conv(), n=neurons()()).double(), SHAPE, 4)
    assert said in str(caught.value)


def test_a_module_that_computes_more_in_its_first_call() -> None:
    calls = count()
    inner = Written(lambda m, x: m.a(x) if next(calls) % 2 else m.a(x).relu(), a=conv())
    with raises(ModelImportError):
        read_module(Written(lambda m, x: m.inner(m.inner(x)), inner=inner).double(), SHAPE)


def test_a_class_of_its_own_is_followed_not_guessed() -> None:
    with raises(ModelImportError):
        read_module(Mine(2, 2, 3), SHAPE)
    with raises(ModelImportError, "2"):
        read_module(Constant(), SHAPE)


def test_steps_and_modes() -> None:
    """A module that repeats its input knows how often; one in multi-step mode reads a sequence; torch's does not."""
    repeats = Written(lambda m, x: m.n(m.a(x).unsqueeze(0).repeat(4, 1, 1, 1, 1)), a=conv(), n=neurons()())
    assert read_module(repeats, SHAPE, 4).network.settings.encode == "direct"
    with raises(ModelImportError):
        read_module(repeats, SHAPE, 3)
    mixed = nn.Sequential(conv(), neurons()())
    with pytest.raises(ModelImportError) as caught:
        read_module(mixed, SHAPE, 4)
    check_words(str(caught.value), "2")
    assert "1 (spikingjelly.activation_based.neuron" in str(caught.value)


def test_what_may_stand_behind_a_readout() -> None:
    fires = Written(lambda m, x: m.b(m.n(m.a(x)).mean(0)), a=nn.Linear(4, 8), n=neurons()(), b=nn.ReLU())
    with raises(ModelImportError):
        read_module(fires, (4,), 4)
    linear = Written(lambda m, x: m.c(m.b(m.n(m.a(x)).mean(0))), **dict(fires.named_children()), c=nn.ReLU())
    linear.b = nn.Linear(8, 2)
    with raises(ModelImportError, "2"):
        read_module(linear, (4,), 4)
    biased = Written(lambda m, x: m.b(m.n(m.a(x)).sum(0)), a=nn.Linear(4, 8), n=neurons()(), b=nn.Linear(8, 2))
    with raises(ModelImportError, "3"):
        read_module(biased, (4,), 4)
    with raises(ModelImportError, "4"):
        read_module(Written(lambda m, x: m.n(m.a(x)).sum(0), a=nn.Linear(4, 8), n=neurons()()), (4,), 4, readout="last")


def test_a_resnext_has_no_place_for_what_it_lacks() -> None:
    """Its groups exist in the language. A rejected module is unchanged."""
    module = built(sew_resnet.sew_resnet18(cnf="ADD", spiking_neuron=neuron.QIFNode))
    kept = [set(vars(each)) for each in module.modules()]
    with pytest.raises(
        ModelImportError, match=r"sn1 \(spikingjelly\.activation_based\.neuron\.nonlinear_if\.QIFNode\)"
    ):
        read_module(module, (3, 32, 32), 2)
    assert [set(vars(each)) for each in module.modules()] == kept


class Derived(neuron.LIFNode):  # type: ignore[misc]
    def neuronal_charge(self, x: Tensor) -> None:
        self.v = x.relu()


@pytest.mark.parametrize("module", [neuron.KLIFNode(step_mode="m"), neuron.NonSpikingLIFNode(), Derived()])
def test_a_neuron_of_another_kind_is_named_and_not_looked_into(module: nn.Module) -> None:
    name = f"{type(module).__module__}.{type(module).__qualname__}"
    with pytest.raises(ModelImportError) as caught:
        read_module(nn.Sequential(nn.Flatten(), module) if name.endswith("Derived") else module, SHAPE, 4)
    where = "1" if name.endswith("Derived") else "the model itself"
    supported = "supported SpikingJelly neurons are IFNode, LIFNode and ParametricLIFNode"
    assert str(caught.value) == f"{where} ({name}) is not supported; {supported}"


LOOPS: dict[str, Callable[[Any, Tensor], Any]] = {
    "index": lambda m, x: sum(m.net(x[t]) for t in range(4)),
    "iteration": lambda m, x: torch.stack([m.net(step) for step in x]).mean(0),
    "unbound": lambda m, x: sum(m.net(step) for step in x.unbind(0)),
    "the same": lambda m, x: sum(m.net(x) for _ in range(4)),
}


@pytest.mark.parametrize(("name", "mode"), [*((name, "s") for name in LOOPS), ("index", "m")])
def test_a_loop_over_time_steps(name: str, mode: str) -> None:
    inner = nn.Sequential(nn.Flatten(), nn.Linear(128, 3), neuron.IFNode(step_mode=mode, **ATAN))
    with raises(ModelImportError):
        read_module(Written(LOOPS[name], net=inner), SHAPE, 4)
