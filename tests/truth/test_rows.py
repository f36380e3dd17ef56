"""The network for sequential CIFAR-10, narrow, of SpikingJelly's layers, weights copied over, in float64."""

from __future__ import annotations

import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn

import sewdsl
from sewdsl.snn.neuron import SpikingModule

T, C = 4, 6


def reference() -> nn.Sequential:
    """Return the network of ``sequential_cifar/train_secf10.py`` by Fang et al. 2023."""
    made: list[nn.Module] = []
    for _ in range(2):
        for _ in range(3):
            before = C if made else 3
            made += [layer.Conv1d(before, C, 3, padding=1, bias=False), layer.BatchNorm1d(C), neuron.PSN(T)]
        made.append(layer.AvgPool1d(2))
    made += [layer.Flatten(), layer.Linear(C * 8, C * 2), neuron.PSN(T), layer.Linear(C * 2, 10)]
    model = nn.Sequential(*made)
    functional.set_step_mode(model, "m")
    return model.double()


def test_every_spike_is_the_same() -> None:
    torch.manual_seed(0)
    theirs = reference()
    body = f"{{{{c{C}k3-BN-SN}}*3-APk2}}*2-FC{C * 2}-SN-FC10"
    ours = sewdsl.compile(body, input="3x32", steps=T, neuron="PSN", seed=0).double()
    for parameter in theirs.parameters():
        if parameter.shape == (T, 1):
            parameter.data.fill_(-0.1)  # so that neurons fire
    for source, target in zip(theirs.parameters(), ours.parameters(), strict=True):
        target.data.copy_(source.data.reshape(target.shape))
    x = torch.randn(T, 2, 3, 32, dtype=torch.float64)
    for training in (True, False):
        found = []
        for model, family in ((theirs, neuron.PSN), (ours, SpikingModule)):
            spikes: list[Tensor] = []
            hooks = [
                module.register_forward_hook(lambda _m, _x, y, spikes=spikes: spikes.append(y.detach()))
                for module in model.modules()
                if isinstance(module, family)
            ]
            shown = x.clone().requires_grad_()
            y = model.train(training)(shown)
            y = y.mean(0) if y.ndim == 3 else y
            parameters = [p for p in model.parameters() if p.requires_grad]
            grads = torch.autograd.grad(
                (y * torch.linspace(-1, 1, y.numel()).view(y.shape)).sum(), [shown, *parameters]
            )
            found.append((y.detach(), spikes, grads))
            for hook in hooks:
                hook.remove()
        (expected, wanted_spikes, wanted), (y, spikes, grads) = found
        assert all(torch.equal(one, other) for one, other in zip(spikes, wanted_spikes, strict=True))
        assert all(0.01 < float(each.mean()) < 0.99 for each in spikes)
        torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-12)
        for one, other in zip(grads, wanted, strict=True):
            torch.testing.assert_close(one, other.reshape(one.shape), rtol=1e-9, atol=1e-12)
