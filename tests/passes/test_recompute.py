"""A recipe's memory: the same training in less of it."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.diagnostics import SewdslError
from sewdsl.passes import memory_shortage, optimize_program
from tests.words import check_words

BODIES = {
    "ADD": "c8k3-BN-PLIF-{SEW Block (c8)-MPk2s2}*2-FC5",
    "IAND": "c8k3-BN-PLIF-{SEW Block (c8, g=IAND)-MPk2s2}*2-FC5",
    "Spiking": "c8k3-BN-LIF-Spiking Block (c16s2)-GAP-FC5",
    "loop": "c8k3-BN-PLIF-LOOP[c8k3-PLIF | c8k3]-{c8k3-BN-PLIF}*2-FC5",
    "ANN": "c8k3-BN-ReLU-{Basic Block (c8)}*2-GAP-FC5",
}


def net(body: str, memory: str, batch: int = 4) -> str:
    recipe = f"train on mnist5k-dvs {{\n    batch {batch}\n    memory {memory}\n    optimizer Adam(lr=0.01)\n}}\n"
    return f"sewdsl 1\ninput 2x16x16\nsteps 4\nneuron PLIF\nbody {body}\n{recipe}"


def load(tmp_path: Path, text: str) -> sewdsl.Network:
    path = tmp_path / "some.net"
    path.write_text(text, encoding="utf-8")
    return sewdsl.load(path)


def step(network: sewdsl.Network, dtype: torch.dtype) -> dict[str, Tensor]:
    model = sewdsl.compile(network, seed=0).to(dtype)
    x = torch.rand(4, 4, 2, 16, 16, generator=torch.Generator().manual_seed(1)).to(dtype) * 2
    loss = cross_entropy(model(x), torch.arange(4))
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    assert len(gradients) == len([*model.parameters()])
    return {"loss": loss.detach(), **gradients, **dict(model.named_buffers())}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_the_same_training(body: str, tmp_path: Path) -> None:
    plenty = load(tmp_path, net(body, "1GB"))
    least = memory_shortage(load_anyway(tmp_path, net(body, "1kB")))
    assert least is not None
    tight = load(tmp_path, net(body, f"{least / 1000 + 1:.0f}kB"))
    assert optimize_program(plenty).recomputed == frozenset()
    assert optimize_program(tight).recomputed
    assert optimize_program(tight, 0).recomputed == frozenset()
    expected, got = step(plenty, torch.float64), step(tight, torch.float64)
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=1e-9, atol=1e-12, msg=name)


def load_anyway(tmp_path: Path, text: str) -> sewdsl.Network:
    """A network whose only error is its memory."""
    path = tmp_path / "tight.net"
    path.write_text(text, encoding="utf-8")
    found = sewdsl.read(path)
    assert [said.code for said in found.diagnostics] == ["memory-too-small"]
    assert found.network is not None
    return found.network


def test_what_is_too_small_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "some.net"
    path.write_text(net(BODIES["ADD"], "10kB"), encoding="utf-8")
    with pytest.raises(SewdslError) as caught:
        sewdsl.load(path)
    (said,) = caught.value.diagnostics
    assert said.code == "memory-too-small"
    assert said.span.text == "memory 10kB"
    assert "with batch size 4 needs at least" in said.message
    assert "over the memory budget of 10kB" in said.message


@pytest.mark.parametrize("memory", ["2", "2G", "GB", "2 GB", "-1GB", "0GB", "2PB", "none GB"])
def test_no_amounts(memory: str, tmp_path: Path) -> None:
    path = tmp_path / "some.net"
    path.write_text(net(BODIES["ADD"], memory), encoding="utf-8")
    assert sewdsl.read(path).diagnostics


@pytest.mark.parametrize("memory", ["1GB", "1.5GB", "512MiB", "900MB", '"2GB"', "none"])
def test_amounts(memory: str, tmp_path: Path) -> None:
    assert load(tmp_path, net(BODIES["ADD"], memory)).recipe is not None


def test_torch_does_not_compile_what_is_planned(tmp_path: Path) -> None:
    path = tmp_path / "some.net"
    path.write_text(net(BODIES["ADD"], "1GB").replace("    batch", "    compile on\n    batch"), encoding="utf-8")
    (said,) = sewdsl.read(path).diagnostics
    check_words(said.message)


@pytest.mark.parametrize(("budget", "again"), [("700 kB", "2 values are"), ("800 kB", "1 value is")])
def test_what_is_said(tmp_path: Path, budget: str, again: str) -> None:
    path = tmp_path / "some.net"
    path.write_text(net(BODIES["ADD"], budget.replace(" ", "")), encoding="utf-8")
    done = CliRunner().invoke(app, ["compile", str(path), "--emit", "passes"])
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("recompute:")]
    assert f"within the memory budget of {budget}" in line
    assert f"{again} recomputed" in line


def test_what_is_said_where_nothing_is_done() -> None:
    done = CliRunner().invoke(app, ["compile", "mnist5k", "--emit", "passes"])
    assert "recompute: no change" in done.stdout.splitlines()


class TestShow:
    def test_json(self, tmp_path: Path) -> None:
        path = tmp_path / "some.net"
        path.write_text(net(BODIES["ADD"], "700kB"), encoding="utf-8")
        done = CliRunner().invoke(app, ["show", str(path), "--memory", "--json"])
        assert done.exit_code == 0
        found = json.loads(done.stdout)
        assert found["samples"] == 4
        assert found["peak"] <= 700_000
        assert sum(found["standing"].values()) + found["kept"] <= found["peak"]
        assert sum(layer["bytes"] for layer in found["layers"]) == found["kept"]
        assert {"recomputed", "1 bit per value"} <= {layer["how"] for layer in found["layers"]}
        assert found["computed_again_macs"] > 0

    def test_tables(self) -> None:
        done = CliRunner().invoke(app, ["show", "7b-net", "--memory", "--batch", "2"])
        assert done.exit_code == 0
        assert "a training step on 2 samples, T = 12, mixed precision" in done.stdout
        assert "repeat1.1.sew_block1" in done.stdout
        expanded = CliRunner().invoke(app, ["show", "7b-net", "--memory", "--batch", "2", "--expand"])
        assert "repeat1.1.sew_block1.branch.conv1" in expanded.stdout
        total = [
            line.split("total")[1].split() for line in (done.stdout + expanded.stdout).splitlines() if "total" in line
        ]
        assert total[0] == total[1]

    def test_a_batch_needs_memory(self) -> None:
        assert CliRunner().invoke(app, ["show", "7b-net", "--batch", "2"]).exit_code == 2
