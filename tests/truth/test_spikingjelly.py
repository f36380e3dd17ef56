"""The same networks built from SpikingJelly's layers, weights copied over: spikes, outputs and gradients agree.

In float64 no spike can flip by rounding, so that every spike is compared exactly. SpikingJelly's IAND is not compared:
its bottleneck computes A (1 - S), the operands swapped (see ``test_equations.py`` for ours).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from spikingjelly.activation_based.model import sew_resnet
from torch import Tensor, nn

import sewdsl
from sewdsl.lower import SpikingNetwork
from sewdsl.snn.neuron import Neuron


@dataclass
class Pair:
    """Our module and the reference, the same weights in both, as far as their order goes."""

    ours: SpikingNetwork
    reference: nn.Module

    def __post_init__(self) -> None:
        for module in (*self.ours.modules(), *self.reference.modules()):
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.momentum = 0.9  # one batch makes running statistics under which neurons fire
        functional.set_step_mode(self.reference, "m")
        ours, reference = self.ours.state_dict(), self.reference.state_dict()
        assert [value.shape for value in ours.values()] == [value.shape for value in reference.values()]
        self.reference.load_state_dict(dict(zip(reference, ours.values(), strict=True)))

    def both(self, x: Tensor) -> list[tuple[Tensor, list[Tensor], list[Tensor]]]:
        """Outputs ``[T, N, classes]``, the spikes of every neuron in order, and in training the gradients."""
        functional.reset_net(self.reference)
        return [
            observe(self.ours, Neuron, lambda x_TN: self.ours(x_TN, return_sequence=True), x),
            observe(self.reference, neuron.BaseNode, self.reference, x),
        ]


def observe(
    module: nn.Module, family: type[nn.Module], run: Callable[[Tensor], Tensor], x: Tensor
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    spikes: list[Tensor] = []
    hooks = [
        child.register_forward_hook(lambda _module, _input, output: spikes.append(output.detach()))
        for child in module.modules()
        if isinstance(child, family)
    ]
    x = x.clone().requires_grad_()
    with torch.set_grad_enabled(module.training):
        y = run(x)
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    gradients = torch.autograd.grad((y * weights).sum(), [x, *module.parameters()]) if module.training else ()
    for hook in hooks:
        hook.remove()
    return y.detach(), spikes, list(gradients)


def compare(pair: Pair, x: Tensor) -> None:
    (y, spikes, gradients), (expected, reference_spikes, reference_gradients) = pair.both(x)
    assert len(spikes) == len(reference_spikes)
    for ours, theirs in zip(spikes, reference_spikes, strict=True):
        assert torch.equal(ours, theirs)
    assert min(s.mean().item() for s in spikes) > 0.001  # silence would agree with anything
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    assert not gradients or gradients[0].norm() > 0
    for ours, theirs in zip(gradients, reference_gradients, strict=True):
        assert (ours - theirs).norm() <= 1e-4 * theirs.norm()


def sew(depth: int, x: Tensor) -> Pair:
    torch.manual_seed(depth)
    ours = sewdsl.compile(f"sew-resnet-{depth}", input=(3, 32, 32), steps=2).to(x.dtype)
    build = getattr(sew_resnet, f"sew_resnet{depth}")
    node = {"surrogate_function": surrogate.ATan(alpha=2.0), "detach_reset": True}
    return Pair(ours, build(cnf="ADD", spiking_neuron=neuron.IFNode, **node).to(x.dtype))


@pytest.mark.parametrize(("depth", "neurons"), [(18, 20), pytest.param(50, 53, marks=pytest.mark.deep)])
def test_sew_resnet(depth: int, neurons: int) -> None:
    x = torch.randn(2, 2, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    pair = sew(depth, x)
    compare(pair, x)
    assert sum(isinstance(module, Neuron) for module in pair.ours.modules()) == neurons
    pair.ours.eval()
    pair.reference.eval()
    compare(pair, x)  # running statistics agree too


def test_sew_resnet_in_single_precision() -> None:
    x = torch.randn(2, 3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    compare(sew(18, x), x)


class SEWBlock(nn.Module):
    """The block of the 7B-Net from SpikingJelly's layers (Fig. 1c)."""

    def __init__(self, channels: int, node: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.branch = nn.Sequential(*(part for _ in range(2) for part in convolution(channels, channels, node)))

    def forward(self, x: Tensor) -> Tensor:
        a: Tensor = self.branch(x)
        return a + x


def convolution(before: int, after: int, node: Callable[[], nn.Module]) -> list[nn.Module]:
    return [layer.Conv2d(before, after, 3, padding=1, bias=False), layer.BatchNorm2d(after), node()]


@pytest.mark.parametrize("reset", [pytest.param("0.0", marks=pytest.mark.deep), "none"])
def test_7b_net(reset: str) -> None:
    def node() -> nn.Module:
        v_reset = None if reset == "none" else float(reset)
        arguments = {"surrogate_function": surrogate.ATan(alpha=2.0), "detach_reset": True, "v_reset": v_reset}
        module: nn.Module = neuron.ParametricLIFNode(init_tau=2.0, **arguments)
        return module

    torch.manual_seed(7)
    ours = sewdsl.compile("7b-net", neuron=f"PLIF(v_reset={reset})", steps=3).double()
    reference = nn.Sequential(
        *convolution(2, 32, node),
        *(part for _ in range(7) for part in (SEWBlock(32, node), layer.MaxPool2d(2, 2))),
        layer.Flatten(),
        layer.Linear(32, 11),
    ).double()
    for model in (ours, reference):
        for name, parameter in model.named_parameters():
            if name.endswith("bias") and parameter.shape == (32,):
                nn.init.constant_(parameter, 0.7)
    pair = Pair(ours, reference)
    x = torch.randn(3, 1, 2, 128, 128, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    compare(pair, x)
