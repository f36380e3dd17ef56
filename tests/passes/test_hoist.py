"""The static prefix is computed once, with the same results."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.lower import SpikingNetwork
from sewdsl.passes import optimize_program
from sewdsl.train.fit.loss_and_accuracy import temporal_delete

STATIC = {"encode": "direct"}
BODIES = {
    "stem": "c6k3-BN-PLIF-{SEW Block (c8)-MPk2s2}*2-FC5",
    "long prefix": "c6k3-BN-ReLU-MPk2s2-DP0.5-c6k3-BN-APk2-LIF-c6k3-BN-IF-GAP-FC5",
    "prefix read twice": "c6k3-BN-Spiking Block (c6s2)-SEW Block (c6)-GAP-FC5",
    "no neuron at all": "c6k3-BN-ReLU-Basic Block (c8s2)-GAP-FC5",
    "neuron first": "IF-c6k3-BN-IF-FC5",
    "FC": "FC12-BN-LIF-FC5",
}


def build(body: str, optimize: int, **changes: object) -> SpikingNetwork:
    model = sewdsl.compile(
        body, input="2x8x8", steps=4, seed=0, optimize=optimize, set={**STATIC, "neuron": "PLIF", **changes}
    )
    return model.double()


def images(N: int = 3) -> Tensor:
    return torch.rand(N, 2, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 3


def seen(model: SpikingNetwork) -> dict[str, list[int]]:
    """Return the number of time-steps that each layer receives, updated by each forward pass."""
    lengths: dict[str, list[int]] = {}
    for name, module in model.named_modules():
        if not list(module.children()):
            module.register_forward_pre_hook(lambda _, x, name=name: lengths.setdefault(name, []).append(len(x[0])))
    return lengths


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_same_outputs_gradients_and_statistics(body: str, train: bool) -> None:  # noqa: FBT001 -- a parameter
    results = []
    for level in (0, 1):
        model = build(body, level).train(train)
        torch.manual_seed(3)
        for _ in range(2):
            logits = model(images())
        cross_entropy(logits, torch.tensor([0, 1, 2])).backward()  # type: ignore[no-untyped-call]
        gradients = {name: weight.grad for name, weight in model.named_parameters()}
        results.append((logits, gradients, model.state_dict()))
    (logits, gradients, state), (logits_1, gradients_1, state_1) = results
    torch.testing.assert_close(logits_1, logits, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(gradients_1, gradients, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(state_1, state, rtol=1e-10, atol=1e-12)


def test_what_runs_once() -> None:
    model = build(BODIES["long prefix"], 1)
    lengths = seen(model)
    model(images())
    once = [name for name, found in lengths.items() if found == [1]]
    assert once == ["conv1", "bn1", "relu1", "max_pool1", "dropout1", "conv2", "bn2", "avg_pool1"]
    assert {name: found for name, found in lengths.items() if name not in once} == {
        name: [4] for name in ("lif1", "conv3", "bn3", "if1", "gap1", "fc1")
    }


def test_at_level_0_everything_runs_at_every_step() -> None:
    model = build(BODIES["stem"], 0)
    lengths = seen(model)
    model(images())
    assert {tuple(found) for found in lengths.values()} == {(4,)}


def test_a_sequence_is_no_static_input() -> None:
    """A user may show a sequence to a network that repeats images; it is shown as it is."""
    model, plain = build(BODIES["stem"], 1), build(BODIES["stem"], 0)
    lengths = seen(model)
    frames = torch.stack([images(), images().flip(-1), images() * 2])
    torch.testing.assert_close(model(frames), plain(frames))
    assert lengths["conv1"] == [3]


def test_time_steps_deleted_from_a_static_input_leave_it_static() -> None:
    model = build(BODIES["stem"], 1)
    lengths = seen(model)
    kept = temporal_delete(images().expand(4, 3, 2, 8, 8), 2)
    assert kept.shape[0] == 2
    model(kept)
    assert lengths["conv1"] == [1]
    assert lengths["plif1"] == [2]


def test_one_value_per_channel() -> None:
    """Batch norm over T equal values is defined, if useless; so it stays."""
    model, plain = (build("FC12-BN-LIF-FC5", level).train() for level in (1, 0))
    torch.testing.assert_close(model(images(1)), plain(images(1)))
    torch.testing.assert_close(model.state_dict(), plain.state_dict())


def test_cumulative_statistics() -> None:
    states = []
    for level in (0, 1):
        model = build(BODIES["stem"], level).train()
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.momentum = None
        for scale in (1, 2, 3):
            model(images() * scale)
        states.append(model.state_dict())
    torch.testing.assert_close(states[1], states[0])


def test_events_have_no_static_prefix() -> None:
    network = sewdsl.load("7b-net")
    assert not any(step.once for step in optimize_program(network).steps)


def test_what_is_said() -> None:
    done = CliRunner().invoke(app, ["compile", "sew-resnet-18", "--emit", "passes"])
    assert done.stdout.splitlines()[0].startswith("hoist: computed once instead of 4 times: conv1, bn1; saves ")
    done = CliRunner().invoke(app, ["compile", "7b-net", "--emit", "passes"])
    assert done.stdout.splitlines()[0] == "hoist: no change"
    assert CliRunner().invoke(app, ["compile", "7b-net", "--emit", "passes", "--optimize", "0"]).stdout == ""
