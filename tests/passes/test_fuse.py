"""Batch norm and neurons in one step, with the same results."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.lower import SpikingNetwork
from sewdsl.passes import Program, optimized
from sewdsl.passes.fuse import fuse
from sewdsl.snn import kernels
from sewdsl.snn.kernels import choice
from sewdsl.train.rates import FiringRates

BODIES = {
    "SEW": "c6k3-BN-PLIF-{SEW Block (c8)-MPk2s2}*2-FC5",
    "Spiking": "c6k3-BN-LIF-Spiking Block (c8s2)-APk2-DP0.5-c5k1-tdBN-IF-GAP",
    "FC": "FC12-BN-LIF-FC12-BN-IF(v_reset=none)-FC5",
    "mixed": "c6k3-BN-c6k3-BN-ReLU-c6k3-BN-LIF(v_reset=-0.5)-c6k1-IF-FC5",
}
STATIC = {"encode": "direct"}


@pytest.fixture(autouse=True)
def _fuse_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "LARGE", 1)


def build(body: str, optimize: int, **changes: object) -> SpikingNetwork:
    settings = {"neuron": "PLIF", **changes}
    return sewdsl.compile(body, input="2x8x8", steps=4, seed=0, optimize=optimize, set=settings).double()


def inputs(static: bool = False) -> Tensor:  # noqa: FBT001, FBT002 -- a parameter of tests
    x = torch.rand(4, 3, 2, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 3
    return x[0] if static else x


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_same_outputs_gradients_and_statistics(body: str, train: bool, static: bool) -> None:  # noqa: FBT001
    results = []
    for level in (0, 1):
        model = build(body, level, **(STATIC if static else {})).train(train)
        for _ in range(2):
            torch.manual_seed(3)
            logits = model(inputs(static))
        cross_entropy(logits, torch.tensor([0, 1, 2])).backward()  # type: ignore[no-untyped-call]
        gradients = {name: weight.grad for name, weight in model.named_parameters()}
        results.append((logits, gradients, model.state_dict()))
    for plain, fast in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("train", [False, True])
def test_all_in_16_bits(train: bool) -> None:  # noqa: FBT001 -- a parameter
    """Weights and statistics of norms as well; no current is rounded to them on its way."""
    firing, states = [], []
    for level in (0, 1):
        model, seen = (
            build("c6k3-BN-PLIF(v_threshold=0.3)-c6k3-tdBN(v_threshold=1.0)-IF(v_threshold=0.2)-FC5", level)
            .bfloat16()
            .train(train),
            FiringRates(),
        )
        with seen.watch(model):
            logits = model(inputs().bfloat16())
        logits.float().square().sum().backward()
        firing.append(torch.tensor(list(seen.rates.values())))
        states.append(model.state_dict())
        for weight in model.parameters():
            assert weight.grad is not None
            assert weight.grad.dtype is torch.bfloat16
            assert weight.grad.isfinite().all()
    assert (firing[0] > 0.02).all()
    torch.testing.assert_close(firing[1], firing[0], rtol=0.05, atol=0.005)
    torch.testing.assert_close(states[1], states[0], rtol=0.02, atol=0.02)


def test_which() -> None:
    """A norm that a convolution or ReLU reads, or the projection of a Spiking block, stays by itself."""
    network = sewdsl.load(BODIES["mixed"], input="2x8x8", steps=4)
    names = [node.name for node in network.nodes]
    fused = [[names[i] for i in step.nodes] for step in fuse(Program.of(network))[0].steps if len(step.nodes) > 1]
    assert fused == [["bn3", "lif1"]]
    spiking = sewdsl.load("Spiking Block (c8s2)-FC5", input="2x8x8", steps=4, neuron="IF")
    assert sum(len(step.nodes) > 1 for step in optimized(spiking).steps) == 1


def test_nothing_is_kept_of_the_current() -> None:
    sizes: dict[int, list[int]] = {}
    for level in (0, 1):
        model = build("c6k3-BN-PLIF-c6k3-BN-PLIF-FC5", level)
        sizes[level] = []

        def count(tensor: Tensor, found: list[int] = sizes[level]) -> Tensor:
            found.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            model(inputs())
    map_size = 4 * 3 * 6 * 8 * 8
    assert sizes[0].count(map_size) - sizes[1].count(map_size) >= 2


def test_firing_rates_are_still_seen() -> None:
    rates = []
    for level in (0, 1):
        model, seen = build(BODIES["SEW"], level).eval(), FiringRates()
        with seen.watch(model), torch.no_grad():
            model(inputs())
        rates.append(seen.rates)
    assert rates[0] == rates[1]


def test_a_norm_that_is_watched_runs_by_itself() -> None:
    model, plain = build(BODIES["SEW"], 1), build(BODIES["SEW"], 0)
    seen: list[Tensor] = []
    model.get_submodule("bn1").register_forward_hook(lambda _, __, y: seen.append(y))
    torch.testing.assert_close(model(inputs()), plain(inputs()))
    assert seen[0].shape == (4, 3, 6, 8, 8)


@pytest.mark.parametrize("static", [False, True])
def test_without_kernels(static: bool) -> None:  # noqa: FBT001
    model, plain = (build(BODIES["SEW"], level, **(STATIC if static else {})) for level in (1, 0))
    seen: list[int] = []
    with kernels.using("reference"):
        model.get_submodule("bn1").register_forward_pre_hook(lambda _, x: seen.append(len(x[0])))
        torch.testing.assert_close(model(inputs(static)), plain(inputs(static)))
        assert seen == [1 if static else 4]
        torch.testing.assert_close(model.state_dict(), plain.state_dict())


def test_what_is_small_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """There, normalising again takes longer than reading."""
    model = build("c6k3-BN-PLIF-FC5", 1)
    norm = model.get_submodule("bn1")
    forward, called = norm.forward, []

    def noted(x_TN: Tensor, repeats: int = 1) -> Tensor:
        called.append(len(x_TN))
        y_TN: Tensor = forward(x_TN, repeats)
        return y_TN

    monkeypatch.setattr(norm, "forward", noted)
    model(inputs())
    assert called == []
    monkeypatch.setattr(choice, "LARGE", inputs().numel() * 3 + 1)
    model(inputs())
    assert called == [4]


def test_streams_run_node_by_node() -> None:
    model = build(BODIES["SEW"], 1).eval()
    stream, state, outputs = model.stream(), None, []
    for x_N in inputs():
        y_N, state = stream(x_N, state)
        outputs.append(y_N)
    torch.testing.assert_close(torch.stack(outputs), model(inputs(), return_sequence=True), rtol=1e-8, atol=1e-10)


def test_what_is_said() -> None:
    done = CliRunner().invoke(app, ["compile", "7b-net", "--emit", "passes"])
    assert "fuse: 15 batch norms are computed together with the neurons behind them" in done.stdout.splitlines()
