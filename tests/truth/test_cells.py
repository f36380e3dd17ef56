"""Searched cells, whose values several places read, against SpikingJelly's own, in float64 and in evaluation."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based.model import snas_net, spike_dhs
from torch import Tensor, nn

import sewdsl
from sewdsl.compiler import shipped_networks
from sewdsl.lower import SpikingNetwork

TAU = 1.333333333


def unsettled(reference: nn.Module) -> nn.Module:
    """Return the module with norms with which neurons fire."""
    for module in reference.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, 0.8, 1.6)
            nn.init.normal_(module.bias, 0.3, 0.3)
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, 0.0, 0.2)
            nn.init.uniform_(module.running_var, 0.2, 0.7)
    return reference.double().eval()


def copied(reference: list[nn.Module], ours: SpikingNetwork) -> None:
    """Copy the weights of the reference in the order of the layers in the text."""
    layers = [module for module in ours.modules() if not list(module.children()) and list(module.parameters())]
    assert len(layers) == len(reference)
    for source, target in zip(reference, layers, strict=True):
        state = source.state_dict()
        target.load_state_dict({key: state[key] for key in target.state_dict()})


def cell(name: str, body: str, shape: tuple[int, ...], steps: int) -> SpikingNetwork:
    """A cell of a shipped network by itself."""
    head, _, _ = shipped_networks()[name].read_text(encoding="utf-8").partition("\nnetwork ")
    neuron = next(
        line for line in shipped_networks()[name].read_text(encoding="utf-8").splitlines() if line.startswith("neuron")
    )
    size = "x".join(map(str, shape))
    return sewdsl.compile(f"{head}\ninput {size}\nsteps {steps}\n{neuron}\n{body}\n", seed=0).double().eval()


def gradients(y: Tensor, x: list[Tensor], module: nn.Module) -> list[Tensor]:
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    return list(torch.autograd.grad((y * weights).sum(), [*x, *module.parameters()]))


def test_a_cell_of_snasnet() -> None:
    torch.manual_seed(0)
    connections = torch.tensor([[0, 3, 3, 1], [0, 0, 2, 3], [0, 0, 0, 4], [0, 0, 0, 0]])
    reference = unsettled(snas_net.Neuronal_Cell(SimpleNamespace(threshold=1.0, tau=TAU), 8, 8, connections))
    ours = cell("snasnet-forward", "body Cell", (8, 9, 9), 4)
    # by columns of the table; ours are in the order of the text: n1, the operands of n2, those of what is given
    copied([m for m in reference.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)], ours)
    x = 2 * torch.rand(4, 2, 8, 9, 9, dtype=torch.float64)
    shown, again = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected = torch.stack([reference(step) for step in shown])
    found = ours(again, return_sequence=True)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    for mine, theirs in zip(gradients(found, [again], ours), gradients(expected, [shown], reference), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def test_a_cell_of_snasnet_with_backward_connections() -> None:
    torch.manual_seed(0)
    connections = torch.tensor([[0, 3, 3, 1], [3, 0, 3, 3], [1, 3, 0, 4], [3, 1, 3, 0]])
    reference = unsettled(snas_net.Neuronal_Cell_backward(SimpleNamespace(threshold=1.0, tau=TAU), 6, 6, connections))
    ours = cell("snasnet-backward", "body Cell", (6, 7, 7), 4)
    copied([m for m in reference.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)], ours)
    x = 2 * torch.rand(4, 2, 6, 7, 7, dtype=torch.float64)
    shown, again = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected = torch.stack([reference(step) for step in shown])
    found = ours(again, return_sequence=True)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    for mine, theirs in zip(gradients(found, [again], ours), gradients(expected, [shown], reference), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def test_a_cell_of_spikedhs() -> None:
    """Its neurons are of a surrogate of their own, so that spikes are compared, not gradients."""
    torch.manual_seed(0)
    found_by_search = torch.tensor([[0, 1], [1, 1], [2, 1], [3, 1], [4, 1], [4, 1]])
    reference = unsettled(spike_dhs.Cell(3, 3, 8 / 3, 8 / 3, found_by_search, None, 8, 0))
    functional.set_step_mode(reference, "m")
    ours = cell("spikedhs-cell", "let both = SN\nbody Cell (c8)[both | both-BN-SN]", (8, 9, 9), 6)
    assert isinstance(ours, SpikingNetwork)
    before, now = ((torch.rand(6, 2, 8, 9, 9) > rate).double() for rate in (0.6, 0.5))
    layers = [
        getattr(op, name)
        for op in reference.get_submodule("_ops").children()
        for name in ("conv1_m", "bn1_m", "conv2_m", "bn2_m")
    ]
    inside = [module for name, module in ours.named_modules() if name.startswith("cell1.") and _is_layer(module)]
    for source, target in zip(layers, inside, strict=True):
        state = source.state_dict()
        target.load_state_dict({key: state[key] for key in target.state_dict()})
    with torch.no_grad():
        _, expected = reference(before, now)
        given = {"both.dlif1": before, "cell1_now.dlif1": now}
        hooks = [
            ours.get_submodule(name).register_forward_hook(lambda _m, _x, _y, value=value: value)
            for name, value in given.items()
        ]
        found = ours(torch.zeros_like(before), return_sequence=True)
        for hook in hooks:
            hook.remove()
    assert 0.02 < float(expected.mean()) < 0.98
    assert torch.equal(found, expected)


def _is_layer(module: nn.Module) -> bool:
    return not list(module.children()) and bool(list(module.parameters(recurse=False)))


@pytest.mark.parametrize(
    ("name", "values"),
    [("snasnet-forward", {"n1", "n2"}), ("spikedhs-cell", {"stem", "first", "second", "third", "one", "two", "now"})],
)
def test_values_are_named_as_in_the_file(name: str, values: set[str]) -> None:
    """``now`` has layers of its own in the last cell only; other operands are named values as they are."""
    network = sewdsl.load(name)
    assert {step.label for node in network for step in node.path if step.kind == "value"} >= values
