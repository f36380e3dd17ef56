"""Reports of event-driven convolutions in probes, logs and Python."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.cli.probe import _events_line
from sewdsl.lower import SpikingNetwork
from sewdsl.lower.spiking_network import EventShares
from sewdsl.passes import plan
from sewdsl.snn.kernels import use_kernels
from sewdsl.train.fit.train_run import start_run
from sewdsl.train.store.measurements import read_metrics
from sewdsl.train.store.run_folder import make_run_folder
from sewdsl.train.training_plan import plan_training

TEXT = "c16k3-BN-IF-c16k3-BN-IF-c16k3-BN-ReLU-FC3"
"""The second and the third convolution read spikes."""


@pytest.fixture(autouse=True)
def _all_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are large however small they are."""
    monkeypatch.setattr(plan, "LARGE_VALUE_ELEMENTS", 1)


def silent(model: SpikingNetwork, name: str, rate: float) -> None:
    """Set the norm of a neuron so that its firing rate is 0 or 1."""
    norm = model.get_submodule(name)
    torch.nn.init.zeros_(norm.weight)  # type: ignore[arg-type]
    torch.nn.init.constant_(norm.bias, 2 * rate)  # type: ignore[arg-type]


def test_of_each_the_share_of_forwards() -> None:
    model = sewdsl.compile(TEXT, input="2x16x16", steps=2, seed=0, optimize=2).eval()
    shares, x = EventShares(), torch.rand(2, 3, 2, 16, 16)
    silent(model, "bn1", 0)
    silent(model, "bn2", 1)
    with shares.watch(model):
        model(x)
        assert shares.shares == {"conv2": 1, "conv3": 0}
        silent(model, "bn1", 1)
        model(x)
    model(x)
    assert shares.shares == {"conv2": 0.5, "conv3": 0}
    assert model.event_listener is None


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])  # noqa: S301 -- ours
def test_a_copy_is_not_watched(copied: Callable[[SpikingNetwork], SpikingNetwork]) -> None:
    model = sewdsl.compile(TEXT, input="2x16x16", steps=2, seed=0, optimize=2).eval()
    shares, x = EventShares(), torch.rand(2, 3, 2, 16, 16)
    silent(model, "bn1", 0)
    silent(model, "bn2", 1)
    with shares.watch(model):
        found = copied(model)
        assert found.event_listener is None
        model(x)
        silent(found, "bn1", 1)
        found(x)
    assert shares.shares == {"conv2": 1, "conv3": 0}


def test_where_no_kernel_runs_nothing_is_said() -> None:
    model = sewdsl.compile(TEXT, input="2x16x16", steps=2, seed=0, optimize=2)
    shares = EventShares()
    with shares.watch(model), use_kernels("reference"):
        model(torch.zeros(2, 3, 2, 16, 16))
    assert shares.shares == {}


def test_a_compiled_network_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where epochs are judged, and watched, between the training steps."""
    graphs: list[bool] = []
    model = sewdsl.compile("c4k3-BN-IF-GAP-FC2", input="2x6x6", steps=2, seed=0)

    def backend(graph: torch.fx.GraphModule, _inputs: object) -> Callable[..., object]:
        graphs.append(model.training)
        return graph.forward

    torch.compiler.reset()
    model.compile(backend=backend)
    x = torch.rand(2, 3, 2, 6, 6)
    for _ in range(3):
        model.train()
        model(x)
        model.eval()
        with EventShares().watch(model), torch.no_grad():
            model(x)
    torch.compiler.reset()
    assert graphs.count(True) == 1
    assert graphs.count(False) == 1


@pytest.mark.parametrize(
    ("shares", "line"),
    [
        ({"a": 1.0, "b": 1.0}, "event-driven: a, b"),
        ({"a": 1.0, "b": 0.25, "c": 0.0}, "event-driven: a; b in 25% of batches; dense: c"),
        ({"a": 0.0, "b": 0.0}, "event-driven: none in all batches; dense: a, b"),
    ],
)
def test_in_words(shares: dict[str, float], line: str) -> None:
    assert _events_line(shares) == line


def test_a_run_says_it(tmp_path: Path) -> None:
    """In its figures, which TensorBoard has too, and when it is probed."""
    spec = tmp_path / "small.net"
    spec.write_text(
        "sewdsl 1\ninput 1x8x8\nsteps 2\nencode direct\nbody c16k3-BN-IF-SEW Block (c16)-GAP-FC10\n"
        "train on digits {\n    epochs 1\n    batch 256\n    optimizer SGD(lr=0.1)\n}\n"
    )
    compilation = sewdsl.read(spec)
    folder = make_run_folder(tmp_path / "run")
    start_run(compilation, plan_training(compilation), folder)
    (figures,) = read_metrics(folder.metrics).values()
    logged = {name: value for name, value in figures.items() if name.startswith("by_events/")}
    assert [*logged] == ["by_events/sew_block1.branch.conv1", "by_events/sew_block1.branch.conv2"]
    assert all(0 <= value <= 1 for value in logged.values())
    done = CliRunner().invoke(app, ["probe", "rates", str(folder.path), "--json"])
    assert [*json.loads(done.output)["by_events"]] == [name.removeprefix("by_events/") for name in logged]
    done = CliRunner().invoke(app, ["probe", "rates", str(folder.path)])
    assert "sew_block1.branch.conv1" in done.output.splitlines()[-1]
