"""Batch norm in the weights before it, in evaluation, with the same outputs."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.lower import SpikingNetwork
from sewdsl.passes import Program, plan
from sewdsl.passes.steps import fold_batch_norm
from sewdsl.snn.batch_norm import BatchNorm

BODIES = {
    "Spiking": "c6k3-BN-LIF-Spiking Block (c8s2)-Spiking Block-GAP-FC5",
    "ANN": "c6k3b1-BN-ReLU-Basic Block (c8s2)-FC12-BN-ReLU-FC5",
    "tdBN": "c6k3-tdBN-ReLU-c6k3g2-BN-ReLU-c6k1-tdBN-LIF-FC5",
    "rows": "Reshape(2x64)-c6k3s2-BN-ReLU-c6k3b1-BN-ReLU-FC5",
}
STATIC = {"encode": "direct"}


def build(body: str, optimize: int, **changes: object) -> SpikingNetwork:
    """Build a module whose running statistics differ from their initial values."""
    settings = {"neuron": "PLIF", **changes}
    model = sewdsl.compile(body, input="2x8x8", steps=4, seed=0, optimize=optimize, set=settings).double()
    generator = torch.Generator().manual_seed(5)
    for name, buffer in model.named_buffers():
        if "running" in name:
            buffer.uniform_(0.2, 1.5, generator=generator)
    return model.eval()


def inputs(static: bool = False) -> Tensor:  # noqa: FBT001, FBT002 -- a parameter of tests
    x = torch.rand(4, 3, 2, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 3
    return x[0] if static else x


def results(model: SpikingNetwork, x: Tensor) -> tuple[Tensor, dict[str, Tensor | None], dict[str, Tensor]]:
    logits = model(x)
    cross_entropy(logits, torch.tensor([0, 1, 2])).backward()  # type: ignore[no-untyped-call]
    return logits, {name: weight.grad for name, weight in model.named_parameters()}, model.state_dict()


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_same_outputs_gradients_and_statistics(
    body: str,
    train: bool,  # noqa: FBT001 -- a parameter
    static: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", 1)
    changes = STATIC if static else {}
    plain, fast = (results(build(body, level, **changes).train(train), inputs(static)) for level in (0, 2))
    for one, other in zip(plain, fast, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-8, atol=1e-10)


def test_the_norm_does_not_run_in_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its module is not called, nor is what it would write ever made."""
    model = build(BODIES["ANN"], 2)
    monkeypatch.setattr(BatchNorm, "forward", None)
    assert model(inputs()).shape == (3, 5)
    with pytest.raises(TypeError):
        model.train()(inputs())


def test_new_weights_are_seen_at_once() -> None:
    plain, model = build(BODIES["Spiking"], 0), build(BODIES["Spiking"], 2)
    before = model(inputs())
    for one in (plain, model):
        with torch.no_grad():
            for parameter in one.parameters():
                parameter.mul_(1.5)
    assert not torch.equal(model(inputs()), before)
    torch.testing.assert_close(model(inputs()), plain(inputs()), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ["conv1", "bn1"])
def test_what_is_watched_runs_by_itself(name: str) -> None:
    seen: list[list[Tensor]] = []
    for level in (0, 2):
        model = build(BODIES["ANN"], level)
        found: list[Tensor] = []
        model.get_submodule(name).register_forward_hook(lambda _, __, y, found=found: found.append(y))
        model(inputs())
        seen.append(found)
    torch.testing.assert_close(seen[1], seen[0])


def test_which() -> None:
    network = sewdsl.load(BODIES["Spiking"], input="2x8x8", steps=4)
    names = [node.name for node in network.nodes]
    program = fold_batch_norm(Program.of(network))[0].validate()
    assert sum(len(step.nodes) > 1 for step in program.steps) == 6
    assert ["conv1", "bn1"] in [[names[i] for i in step.nodes] for step in program.steps]


def test_only_at_level_2() -> None:
    said = [
        CliRunner().invoke(app, ["compile", "spiking-resnet-18", "--emit", "passes", "--optimize", level]).stdout
        for level in ("1", "2")
    ]
    assert "fold:" not in said[0]
    assert "fold: folded 11 batch norms into weights, in evaluation" in said[1].splitlines()
