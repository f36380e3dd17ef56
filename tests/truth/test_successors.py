"""Shipped networks after Fang et al. 2021 and SpikingJelly's own classes, weights converted, in float64.

Every spike of every neuron is the same, outputs and gradients agree, in training and in evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.model import masnn, ms_resnet
from torch import Tensor, nn

import sewdsl
from sewdsl.exchange.weights import SCHEMES, to_node_paths
from sewdsl.ir.network import Network
from sewdsl.lower import SpikingNetwork
from sewdsl.snn.neuron import Neuron
from tests.effort import factor
from tests.exchange.peers import PEERS


def small_vgg(name: str) -> nn.Module:
    """A spiking VGG for images of 32x32: a place for each channel, not 7x7, and nothing dropped."""
    with torch.device("meta"):
        model: Any = PEERS[name]()
        model.avgpool = nn.Identity()
        model.avgpool.step_mode = "m"
        model.classifier[0] = layer.Linear(512, 4096)
    model.to_empty(device="cpu")
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_parameters()
        elif isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, layer.Dropout):
            module.p = 0.0
    made: nn.Module = model
    return made


CASES: dict[str, tuple[Callable[[], nn.Module], int, int]] = {
    "ms-resnet-18": (lambda: ms_resnet.ms_resnet18(T=2), 32, 2),
    "masnn-dvs-gesture": (lambda: masnn.masnn_dvs128_gesture(T=10, input_size=(16, 16)), 16, 10),
    "att-ms-resnet-18": (lambda: masnn.att_ms_resnet18(T=2), 32, 2),
    "ms-resnet-34": (lambda: ms_resnet.ms_resnet34(T=2), 32, 2),
    **{
        name: (PEERS[name], 16 if name in {"max-resnet-18", "spikformer-cifar10", "maxformer-cifar"} else 32, 2)
        for name in (
            "max-resnet-18",
            "spikformer-ti",
            "spikformer-cifar10",
            "qkformer-10-384",
            "sdt-8-384",
            "maxformer-10-384",
            "maxformer-cifar",
            "spikformer-8-512",
            "qkformer-10-768",
            "sdt-8-512",
        )
    },
    "spiking-vgg-11": (lambda: small_vgg("spiking-vgg-11"), 32, 2),
    "spiking-vgg-16": (lambda: small_vgg("spiking-vgg-16"), 32, 2),
}
"""What builds the reference, pixels, time-steps."""
FEW = ("ms-resnet-18", "spikformer-cifar10", "qkformer-10-384", "sdt-8-384", "masnn-dvs-gesture", "att-ms-resnet-18")
"""Those with all that any of them has."""


def by_our_keys(network: Network, reference: nn.Module, *, gradients: bool = False) -> dict[str, Tensor]:
    """The weights of the reference, converted; or the gradients of its parameters, and other tensors as they are."""
    found = reference.state_dict()
    if gradients:
        found |= {key: p.grad for key, p in reference.named_parameters() if p.grad is not None}
    return to_node_paths(found, network, SCHEMES["spikingjelly"])[0]


def observe(model: nn.Module, family: type[nn.Module], x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The output ``[N, classes]`` and the spikes of every neuron; of one that serves several projections, of each."""
    spikes: list[tuple[str, Tensor]] = []

    def note(name: str, output: Tensor) -> None:
        last = name.rpartition(".")[2]
        parts = {"qkv_lif": 3, "qk_lif": 2}.get(last, 1) if family is neuron.BaseNode else 1
        spikes.extend((last, part.detach().flatten(2)) for part in output.chunk(parts, 2))

    hooks = [
        module.register_forward_hook(lambda _module, _input, output, name=name: note(name, output))
        for name, module in model.named_modules()
        if isinstance(module, family)
    ]
    y = model(x)
    for hook in hooks:
        hook.remove()
    for i in range(1, len(spikes)):  # QKFormer fires for q and k at once, and then for the sum of q
        if spikes[i][0] == "attn_lif" and spikes[i - 1][0] == "qk_lif":
            spikes[i - 1], spikes[i] = spikes[i], spikes[i - 1]
    return (y.mean(0) if y.ndim == 3 else y), [spike for _, spike in spikes]


@pytest.fixture(params=CASES if factor() > 1 else FEW)
def pair(request: pytest.FixtureRequest) -> tuple[Network, SpikingNetwork, nn.Module, Tensor]:
    """Ours, the reference with the same weights under which neurons fire, and an input."""
    make, pixels, T = CASES[request.param]
    torch.manual_seed(0)
    channels = sewdsl.load(request.param).settings.input[0]
    network = sewdsl.load(request.param, input=(channels, pixels, pixels), steps=T, set={"encode": "none"})
    ours = sewdsl.compile(network).double()
    reference = make().double()
    for module in (*ours.modules(), *reference.modules()):
        if hasattr(module, "p"):  # dropout, whose masks would differ
            setattr(module, "p", 0.0)  # noqa: B010 -- of several classes
    functional.set_step_mode(reference, "m")
    x = torch.rand(T, 2, channels, pixels, pixels, dtype=torch.float64)
    norms = [module for module in reference.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.8, 1.6)
        nn.init.normal_(norm.bias, 0.3, 0.3)
        norm.momentum = 1.0
    with torch.no_grad():
        reference(x)
    functional.reset_net(reference)
    for norm in norms:
        norm.momentum = 0.1
    ours.load_state_dict(by_our_keys(network, reference))
    return network, ours, reference, x


def test_every_spike_is_the_same(pair: tuple[Network, SpikingNetwork, nn.Module, Tensor]) -> None:
    network, ours, reference, x = pair
    for training in (False, True):
        found = []
        for model, family in ((ours, Neuron), (reference, neuron.BaseNode)):
            model.train(training)
            model.zero_grad()
            shown = x.clone().requires_grad_()
            y, spikes = observe(model, family, shown)
            (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)).sum().backward()  # type: ignore[no-untyped-call]
            found.append((y.detach(), spikes, shown.grad))
        functional.reset_net(reference)
        (y, spikes, gradient), (expected, reference_spikes, reference_gradient) = found
        assert len(spikes) == len(reference_spikes)
        assert all(torch.equal(one, other) for one, other in zip(spikes, reference_spikes, strict=True))
        assert sum(bool(spike.any()) for spike in spikes) > 0.6 * len(spikes)  # silence would agree with anything
        torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)
        assert gradient is not None
        assert reference_gradient is not None
        assert (gradient - reference_gradient).norm() <= 1e-9 * reference_gradient.norm()
        theirs = by_our_keys(network, reference, gradients=True)
        for key, parameter in ours.named_parameters():
            assert parameter.grad is not None
            # of a bias before a norm the gradient is 0
            assert (parameter.grad - theirs[key]).norm() <= 1e-9 * max(float(theirs[key].norm()), 1e-3)
