"""Batch norm, neurons and joins in one step, with the same results."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.ir.kind import CATALOGUE
from sewdsl.ir.op import Join
from sewdsl.ir.signal import BINARY, ValueRange
from sewdsl.lower import SpikingNetwork
from sewdsl.passes import Program, plan
from sewdsl.passes.steps import fuse_neurons
from sewdsl.snn import join as snn
from sewdsl.snn import kernels
from sewdsl.snn.batch_norm import BatchNorm
from sewdsl.snn.neuron import Neuron
from sewdsl.train.watch import FiringRates

BODIES = {
    "SEW": "c6k3-BN-PLIF-{SEW Block (c8)-MPk2s2}*2-FC5",
    "Spiking": "c6k3-BN-LIF-Spiking Block (c8s2)-APk2-DP0.5-c5k1-tdBN-IF-GAP",
    "FC": "FC12-BN-LIF-FC12-BN-IF(v_reset=none)-FC5",
    "mixed": "c6k3-BN-c6k3-BN-ReLU-c6k3-BN-LIF(v_reset=-0.5)-c6k1-IF-FC5",
    "AND": "c6k3-BN-PLIF-{SEW Block (c8s2, g=AND)}*2-FC5",
    "IAND": "c6k3-BN-PLIF-{SEW Block (c6, g=IAND)-MPk2s2}*2-FC5",
    "EITHER": "c6k3-BN-PLIF-SEW Block (c6, g=EITHER)-SEW Block (c8, g=EITHER)-FC5",
    "identity": "c6k3-BN-IF-IAND[c6k3-IF|c6k1-BN-IF]-AND[c6k1-IF|c6k3-BN-PLIF]-ADD[c6k3-ReLU|c6k3-BN-IF]-FC5",
    "with what is normalised": "c6k3-BN-PLIF-c6k3-ADD[BN-PLIF|id]-FC5",
}
STATIC = {"encode": "direct"}


@pytest.fixture(autouse=True)
def _fuse_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", 1)


@pytest.fixture(autouse=True)
def _disjunction() -> Iterator[None]:
    """A join of somebody's own."""

    class Either(Join, kind="EITHER"):
        neutral_branch = 0

        def combine(self, *, branch: Tensor, identity: Tensor) -> Tensor:
            return branch + identity - branch * identity

        def values(self, branch: ValueRange, identity: ValueRange) -> ValueRange:  # noqa: ARG002 -- spikes whatever the spikes
            return BINARY

    yield
    del CATALOGUE[Either.kind]


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
        with seen.watch(model), torch.no_grad():
            model(inputs().bfloat16())
        logits = model(inputs().bfloat16())
        logits.float().square().sum().backward()
        firing.append(torch.tensor(list(seen.rates.values())))
        states.append(model.state_dict())
        for weight in model.parameters():
            assert weight.grad is not None
            assert weight.grad.dtype is torch.bfloat16
            assert weight.grad.isfinite().all()
    assert len(firing[0]) == 2
    assert (firing[0] > 0.02).all()
    torch.testing.assert_close(firing[1], firing[0], rtol=0.05, atol=0.005)
    torch.testing.assert_close(states[1], states[0], rtol=0.02, atol=0.02)


def fused(body: str) -> list[tuple[list[str], list[str]]]:
    """The steps of more than one node: those nodes, and the operands."""
    network = sewdsl.load(body, input="2x8x8", steps=4, neuron="PLIF")
    names = [node.name for node in network.nodes]
    steps = [step for step in fuse_neurons(Program.of(network))[0].steps if len(step.nodes) > 1]
    return [([names[i] for i in step.nodes], [names[i] for i in step.operands]) for step in steps]


def test_which() -> None:
    """A norm that a convolution or ReLU reads, or the projection of a Spiking block, stays by itself."""
    assert fused(BODIES["mixed"]) == [(["bn3", "lif1"], ["conv3"])]
    assert len(fused("Spiking Block (c8s2)-FC5")) == 1


def test_which_joins() -> None:
    """A join that is the only reader of the spikes is fused, with the spikes as branch or as identity."""
    stem = (["bn1", "plif1"], ["conv1"])
    branch = ["branch.bn1", "branch.plif1", "add1"]
    assert fused("c6k3-BN-PLIF-ADD[c6k3-BN-PLIF|id]-FC5") == [stem, (branch, ["branch.conv1", "plif1"])]
    assert fused("c6k3-BN-PLIF-c6k3-ADD[BN-PLIF|id]-FC5") == [stem, (branch, ["conv2", "conv2"])]
    shortcut = ["shortcut.bn1", "shortcut.if1", "add1"], ["shortcut.conv1", "branch.if1"]
    assert fused("c6k3-BN-PLIF-ADD[c6k3-IF|c6k1-BN-IF]-FC5") == [stem, shortcut]


def test_of_two_neurons_the_later_joins() -> None:
    branch = ["branch.bn1", "branch.plif1"], ["branch.conv1"]
    shortcut = ["shortcut.bn1", "shortcut.plif1", "add1"], ["shortcut.conv1", "branch.plif1"]
    assert fused("c6k3-BN-PLIF-ADD[c6k3-BN-PLIF|c6k1-BN-PLIF]-FC5")[1:] == [branch, shortcut]


@pytest.mark.parametrize(
    "body",
    ["c6k3-BN-PLIF-ADD[id|id]-FC5", "c6k3-BN-PLIF-ADD[c6k3-BN|id]-FC5", "c6k3-BN-PLIF-ADD[c6k3-ReLU|id]-FC5"],
)
def test_which_joins_stay(body: str) -> None:
    """A join that reads the spikes twice, or is one of several readers, is not fused."""
    assert fused(body) == [(["bn1", "plif1"], ["conv1"])]


def test_no_spikes_of_a_join_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the neurons nor the join run by themselves."""
    called: list[nn.Module] = []
    for kind in (Neuron, snn.Join):
        forward = kind.forward

        def noted(self: nn.Module, *x: Tensor, forward: Callable[..., Tensor] = forward) -> Tensor:
            called.append(self)
            return forward(self, *x)

        monkeypatch.setattr(kind, "forward", noted)
    model = build(BODIES["EITHER"], 1)
    model(inputs())
    assert called == []
    with kernels.use_kernels("reference"):
        model(inputs())
    assert len(called) == 8


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


@pytest.mark.parametrize("body", ["SEW", "EITHER", "identity"])
def test_firing_rates_are_still_seen(body: str) -> None:
    rates = []
    for level in (0, 1):
        model, seen = build(BODIES[body], level).eval(), FiringRates()
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


@pytest.mark.parametrize("part", ["branch.bn2", "branch.plif2", "add1"])
def test_whoever_is_watched_gives_the_same(part: str) -> None:
    seen: list[Tensor] = []
    for level in (0, 1):
        model = build(BODIES["SEW"], level)
        names = [name for name, _ in model.named_modules() if name.endswith(part)]
        model.get_submodule(names[0]).register_forward_hook(lambda _, x, y: seen.extend((*x, y)))
        model(inputs())
    half = len(seen) // 2
    assert half == (3 if part == "add1" else 2)
    torch.testing.assert_close(seen[:half], seen[half:])


@pytest.mark.parametrize("static", [False, True])
def test_without_kernels(static: bool) -> None:  # noqa: FBT001
    model, plain = (build(BODIES["SEW"], level, **(STATIC if static else {})) for level in (1, 0))
    seen: list[int] = []
    with kernels.use_kernels("reference"):
        model.get_submodule("bn1").register_forward_pre_hook(lambda _, x: seen.append(len(x[0])))
        torch.testing.assert_close(model(inputs(static)), plain(inputs(static)))
        assert seen == [1 if static else 4]
        torch.testing.assert_close(model.state_dict(), plain.state_dict())


def test_what_is_small_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """There, normalising again takes longer than reading."""
    model = build("c6k3-BN-PLIF-FC5", 1)
    forward, called = BatchNorm.forward, list[int]()

    def noted(self: BatchNorm, x_TN: Tensor, repeats: int = 1) -> Tensor:
        called.append(len(x_TN))
        return forward(self, x_TN, repeats)

    monkeypatch.setattr(BatchNorm, "forward", noted)
    model(inputs())
    assert called == []
    monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", inputs().numel() * 3 + 1)
    model = build("c6k3-BN-PLIF-FC5", 1)
    model(inputs())
    assert called == [4]


@pytest.mark.parametrize("body", ["SEW", "EITHER", "identity"])
def test_streams_run_node_by_node(body: str) -> None:
    model = build(BODIES[body], 1).eval()
    for norm in model.modules():
        if isinstance(norm, BatchNorm):
            nn.init.constant_(norm.bias, 1.5)  # a PLIF neuron then fires at the second step, by what it remembers
    stream, state, outputs = model.stream(), None, []
    for x_N in inputs():
        y_N, state = stream(x_N, state)
        outputs.append(y_N)
    assert any(not torch.equal(one, other) for one, other in pairwise(outputs))
    assert state is not None
    assert {*state} == {name for name, module in model.named_modules() if isinstance(module, Neuron)}
    torch.testing.assert_close(torch.stack(outputs), model(inputs(), return_sequence=True), rtol=1e-8, atol=1e-10)


def test_copies_compute_the_same() -> None:
    model = build(BODIES["EITHER"], 1)
    copy = deepcopy(model)
    assert torch.equal(copy(inputs()), model(inputs()))


@pytest.mark.parametrize("g", ["ADD", "AND", "IAND", "EITHER"])
def test_blocks_that_begin_as_identities(g: str) -> None:
    """Zero-initialised, with a neuron that fires always or never in the branch."""
    body = f"c6k3-BN-PLIF-{{SEW Block (c6, g={g})}}*2-FC5"
    logits = [build(body, level, init="zero").train(mode=False)(inputs()) for level in (0, 1)]
    torch.testing.assert_close(*logits, rtol=1e-8, atol=1e-10)
    stem = build("c6k3-BN-PLIF-FC5", 0).eval()
    model = build(body, 1, init="zero").eval()
    stem.load_state_dict(model.state_dict(), strict=False)
    torch.testing.assert_close(stem(inputs()), model(inputs()))


@pytest.mark.parametrize("body", ["SEW", "IAND", *(pytest.param(g, marks=pytest.mark.deep) for g in ("AND", "EITHER"))])
def test_with_autocast(body: str) -> None:
    """In 16 bits the kernel rounds less often than modules in a row."""
    logits, gradients = [], []
    for level in (0, 1):
        model = build(BODIES[body], level).float()
        with torch.autocast("cpu", torch.bfloat16):
            logits.append(model(inputs().float()))
        logits[-1].float().square().sum().backward()
        gradients.append(torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]))
    torch.testing.assert_close(*logits)
    assert torch.cosine_similarity(gradients[0], gradients[1], dim=0) > 0.999


def test_what_is_said() -> None:
    done = CliRunner().invoke(app, ["compile", "7b-net", "--emit", "passes"])
    said = "fused 15 batch norms with neurons, and 7 joins"
    assert f"fuse: {said}" in done.stdout.splitlines()
    assert fuse_neurons(Program.of(sewdsl.load("c6k3-BN-PLIF-FC5", input="2x8x8", steps=4)))[1].endswith(
        "batch norm with neurons"
    )
