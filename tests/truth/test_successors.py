"""Shipped networks after Fang et al. 2021 and SpikingJelly's own classes, weights copied over, in float64.

Every spike of every neuron is the same, outputs and gradients agree, in training and in evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.model import (
    masnn,
    maxformer,
    ms_resnet,
    qkformer,
    spike_driven_transformer,
    spikformer,
    spiking_vgg,
)
from torch import Tensor, nn

import sewdsl
from sewdsl.lower import SpikingNetwork
from sewdsl.snn.neuron import Neuron
from tests.effort import factor

WIDE: dict[str, Callable[[], nn.Module]] = {
    "ms-resnet-34": lambda: ms_resnet.ms_resnet34(T=2),
    "spikformer-8-512": lambda: spikformer.Spikformer(embed_dims=512, num_heads=8, depths=8),
    "spikformer-8-768": lambda: spikformer.Spikformer(embed_dims=768, num_heads=8, depths=8),
    "qkformer-10-768": lambda: qkformer.QKFormer(embed_dims=768, num_heads=(12, 12, 12)),
    "sdt-8-512": lambda: spike_driven_transformer.SpikeDrivenTransformer(embed_dims=512, num_heads=8, depths=8),
    "spiking-vgg-11": lambda: spiking_vgg.spiking_vgg11_bn(spiking_neuron=neuron.LIFNode),
    "spiking-vgg-16": lambda: spiking_vgg.spiking_vgg16_bn(spiking_neuron=neuron.LIFNode),
}
"""What builds those of many weights."""


def small_vgg(name: str) -> nn.Module:
    """A spiking VGG for images of 32x32: a place for each channel, not 7x7, and nothing dropped."""
    with torch.device("meta"):
        model: Any = WIDE[name]()
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
    "max-resnet-18": (ms_resnet.max_resnet18, 16, 2),
    "spikformer-ti": (spikformer.spikformer_ti, 32, 2),
    "spikformer-cifar10": (spikformer.spikformer_cifar10, 16, 2),
    "qkformer-10-384": (qkformer.qkformer_10_384, 32, 2),
    "sdt-8-384": (spike_driven_transformer.sdt_8_384, 32, 2),
    "maxformer-10-384": (maxformer.maxformer_10_384, 32, 2),
    "maxformer-cifar": (maxformer.maxformer_cifar, 16, 2),
    "masnn-dvs-gesture": (lambda: masnn.masnn_dvs128_gesture(T=10, input_size=(16, 16)), 16, 10),
    "att-ms-resnet-18": (lambda: masnn.att_ms_resnet18(T=2), 32, 2),
    "ms-resnet-34": (WIDE["ms-resnet-34"], 32, 2),
    "spikformer-8-512": (WIDE["spikformer-8-512"], 32, 2),
    "qkformer-10-768": (WIDE["qkformer-10-768"], 32, 2),
    "sdt-8-512": (WIDE["sdt-8-512"], 32, 2),
    "spiking-vgg-11": (lambda: small_vgg("spiking-vgg-11"), 32, 2),
    "spiking-vgg-16": (lambda: small_vgg("spiking-vgg-16"), 32, 2),
}
"""What builds the reference, pixels, time-steps."""
FEW = ("ms-resnet-18", "spikformer-cifar10", "qkformer-10-384", "sdt-8-384", "masnn-dvs-gesture", "att-ms-resnet-18")
"""Those with all that any of them has."""
STAGES = ["patch_embed1", "stage1", "patch_embed2", "stage2", "patch_embed3", "stage3", "head_lif", "head"]
"""The order in which QKFormer and Max-Former run their parts; they register them in another."""
FUSED = {"qkv_conv_bn", "qkv", "qk_conv_bn"}
"""Convolutions that compute several projections at once."""


class Piece(NamedTuple):
    """A layer with weights, or one of several equal parts of it along its outputs."""

    layer: nn.Module
    part: int = 0
    parts: int = 1

    def tensors(self, *, gradients: bool = False) -> list[Tensor]:
        """Its parameters and running statistics, or the gradients of the former."""
        found = [p.grad if gradients else p.data for p in self.layer.parameters(recurse=False)]
        if not gradients and isinstance(self.layer, nn.modules.batchnorm._BatchNorm):
            found += [self.layer.running_mean, self.layer.running_var]
        return [x.chunk(self.parts)[self.part] for x in found if x is not None]


def pieces(module: nn.Module) -> Iterator[Piece]:
    """The layers with weights in the order in which the text writes them."""
    children = dict(module.named_children())
    if type(module) in {qkformer.QKFormer, maxformer.MaxFormer}:
        children = {name: children[name] for name in STAGES if name in children}
    if "attention" in children and "downsample" in children:  # the shortcut comes after the branch
        children["downsample"] = children.pop("downsample")
    for name, child in children.items():
        inside = list(child.children())
        if name in FUSED:
            conv, norm = inside[:2]
            assert isinstance(conv, nn.Conv1d | nn.Conv2d)
            parts = conv.out_channels // conv.in_channels
            for part in range(parts):
                yield from (Piece(conv, part, parts), Piece(norm, part, parts))
        elif inside:
            yield from pieces(child)
        elif any(True for _ in child.parameters(recurse=False)):
            yield Piece(child)


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
def pair(request: pytest.FixtureRequest) -> tuple[SpikingNetwork, nn.Module, Tensor]:
    """Ours, the reference with the same weights under which neurons fire, and an input."""
    make, pixels, T = CASES[request.param]
    torch.manual_seed(0)
    channels = sewdsl.load(request.param).settings.input[0]
    ours = sewdsl.compile(request.param, input=(channels, pixels, pixels), steps=T, set={"encode": "none"}).double()
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
    theirs = list(pieces(reference))
    mine = [Piece(m) for m in ours.modules() if not list(m.children()) and list(m.parameters(recurse=False))]
    assert len(theirs) == len(mine)
    assert sum(p.numel() for p in reference.parameters()) == sum(p.numel() for p in ours.parameters())
    for one, other in zip(theirs, mine, strict=True):
        for source, target in zip(one.tensors(), other.tensors(), strict=True):
            target.copy_(source.reshape(target.shape))
    return ours, reference, x


def test_every_spike_is_the_same(pair: tuple[SpikingNetwork, nn.Module, Tensor]) -> None:
    ours, reference, x = pair
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
        mine = [Piece(m) for m in ours.modules() if not list(m.children()) and list(m.parameters(recurse=False))]
        for one, other in zip(pieces(reference), mine, strict=True):
            for ours_, theirs in zip(other.tensors(gradients=True), one.tensors(gradients=True), strict=True):
                assert (ours_ - theirs.reshape(ours_.shape)).norm() <= 1e-9 * max(
                    float(theirs.norm()), 1e-3
                )  # a bias before a norm: 0


@pytest.mark.parametrize("name", WIDE)
def test_wide_ones_have_the_same_weights(name: str) -> None:
    """Layer by layer, without the memory of the numbers."""
    with torch.device("meta"):
        reference, ours = WIDE[name](), sewdsl.compile(name)
        assert sum(p.numel() for p in reference.parameters()) == sum(p.numel() for p in ours.parameters())
        mine = [Piece(m) for m in ours.modules() if not list(m.children()) and list(m.parameters(recurse=False))]
        for one, other in zip(pieces(reference), mine, strict=True):
            sizes = [[x.numel() for x in piece.tensors()] for piece in (one, other)]
            assert sizes[0] == sizes[1]
