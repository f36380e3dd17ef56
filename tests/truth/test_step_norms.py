"""Norms of each time-step against the modules that their authors use, one batch norm for each, in float64."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, nn

import sewdsl
from sewdsl.snn.runtime import Runtime

T, N, C = 4, 3, 5


class Each(nn.Module):
    """A batch norm for each time-step, of its own values or of all so far."""

    def __init__(self, *, so_far: bool) -> None:
        super().__init__()
        self.so_far = so_far
        self.norms = nn.ModuleList(nn.BatchNorm2d(C, momentum=0.2) for _ in range(T))
        self.p = nn.Parameter(torch.ones(T))

    def weights(self, name: str) -> list[Tensor]:
        """Weights or biases of all time-steps."""
        return [getattr(norm, name) for norm in self.norms]

    def forward(self, x: Tensor) -> Tensor:
        """Return the last of all normalised time-steps, as the code of the authors, also in evaluation."""
        outputs = []
        for t, norm in enumerate(self.norms):
            y = norm(x[0 if self.so_far else t : t + 1].flatten(0, 1))[-N:]
            outputs.append(y * self.p[t] ** 2 if self.so_far else y)
        return torch.stack(outputs)


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("kind", ["BNTT", "TAB"])
def test_the_same_after_training_steps(kind: str, level: int) -> None:
    torch.manual_seed(0)
    reference = Each(so_far=kind == "TAB").double()
    model = sewdsl.compile(f"{kind}(momentum=0.2)", input=f"{C}x4x3", steps=T, optimize=level).double()
    (norm,) = model.children()
    assert isinstance(norm.weight, nn.Parameter)
    state = {name: torch.stack(reference.weights(name)) for name in ("weight", "bias")}
    state["weight"] = 1 + 0.3 * torch.randn_like(state["weight"])
    state["bias"] = torch.randn_like(state["bias"]) if kind == "TAB" else torch.zeros_like(state["bias"])
    with torch.no_grad():
        for t, each in enumerate(reference.norms):
            assert isinstance(each, nn.BatchNorm2d)
            each.weight.copy_(state["weight"][t])
            each.bias.copy_(state["bias"][t])
        norm.weight.copy_(state["weight"])
        if kind == "TAB":
            assert isinstance(norm.bias, nn.Parameter)
            assert isinstance(norm.step_weight, nn.Parameter)
            norm.bias.copy_(state["bias"])
            norm.step_weight.copy_(torch.linspace(0.5, 1.5, T))
            reference.p.copy_(torch.linspace(0.5, 1.5, T))
    for step in range(3):
        x = torch.randn(T, N, C, 4, 3, dtype=torch.float64) * 3 + torch.arange(T).reshape(T, 1, 1, 1, 1) + step
        compare(reference, model, x.requires_grad_())
    running = {
        name: torch.stack([getattr(e, name) for e in reference.norms]) for name in ("running_mean", "running_var")
    }
    for name, expected in running.items():
        torch.testing.assert_close(getattr(norm, name), expected, rtol=1e-12, atol=1e-12)
    reference.eval()
    model.eval()
    x = torch.randn(T, N, C, 4, 3, dtype=torch.float64).requires_grad_()
    compare(reference, model, x)
    stream, current = model.stream(), None
    for x_N, expected in zip(x, model(x, return_sequence=True), strict=True):
        y_N, current = stream(x_N, current)
        torch.testing.assert_close(y_N, expected)


def compare(reference: Each, model: nn.Module, x: Tensor) -> None:
    y, expected = model(x, return_sequence=True), reference(x)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    factors = torch.randn_like(y)
    (ours,), (theirs,) = (torch.autograd.grad((z * factors).sum(), x, retain_graph=True) for z in (y, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    weights = torch.autograd.grad((y * factors).sum(), list(model.parameters()))
    parameters = [torch.autograd.grad((expected * factors).sum(), reference.weights("weight"), retain_graph=True)]
    torch.testing.assert_close(weights[0], torch.stack(parameters[0]), rtol=1e-10, atol=1e-10)
    if reference.so_far:
        biases = torch.autograd.grad((expected * factors).sum(), reference.weights("bias"), retain_graph=True)
        torch.testing.assert_close(weights[1], torch.stack(biases), rtol=1e-10, atol=1e-10)
        (factor,) = torch.autograd.grad((expected * factors).sum(), reference.p)
        torch.testing.assert_close(weights[2], factor, rtol=1e-10, atol=1e-10)


def test_counts() -> None:
    for kind, parameters in (("BNTT", T * C), ("TAB", 2 * T * C + T)):
        network = sewdsl.load(f"c{C}k3b0-{kind}", input="2x4x4", steps=T)
        assert network.total_parameters == 2 * C * 9 + parameters
        assert sum(p.numel() for p in sewdsl.compile(network).parameters()) == network.total_parameters


def test_a_convolution_before_needs_no_bias() -> None:
    for kind in ("BNTT", "TAB"):
        assert "b0" in str(sewdsl.load(f"c{C}k3-{kind}", input="2x4x4", steps=T).nodes[1].op)
        codes = [d.code for d in sewdsl.read(f"LOOP[c{C}k1-{kind} | id]", input=f"{C}x4x4", steps=T).diagnostics]
        assert codes == ["norm-in-loop"]


@pytest.mark.parametrize("accumulate", [False, True])
def test_statistics_of_processes(tmp_path: Path, *, accumulate: bool) -> None:
    """With a group of one process, the statistics that processes share are those of the batch."""
    shared, alone = (Runtime.StepBatchNorm(C, T, accumulate=accumulate).double() for _ in range(2))
    x, results = torch.randn(T, N, C, 2, 2, dtype=torch.float64), []
    method = f"file://{tmp_path / 'store'}"
    distributed.init_process_group("gloo", init_method=method, rank=0, world_size=1)
    try:
        for norm in (shared, alone):
            norm.synchronised = norm is shared
            leaf = x.clone().requires_grad_()
            y = norm(leaf)
            results.append([y.detach(), *torch.autograd.grad((y * x.sin()).sum(), [leaf, *norm.parameters()])])
    finally:
        distributed.destroy_process_group()
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(shared.running_var, alone.running_var, rtol=1e-12, atol=1e-12)
