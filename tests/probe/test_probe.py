"""Rates and gradients of blocks are those that are computed by hand."""

from __future__ import annotations

import csv
import json
from io import BytesIO
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.lower import SpikingNetwork
from sewdsl.probe import (
    block_gradients,
    block_rates,
    measure_operations,
    named_residuals,
    random_inputs,
    set_untrained_mode,
)
from sewdsl.probe.plots import plot_curves
from tests.words import check_words, raises

SEW = "c4k3-BN-IF-SEW Block-SEW Block (c6s2)-SEW Block-GAP-FC3"
SPIKING = SEW.replace("SEW", "Spiking")
OPTIONS = {"input": "2x8x8", "steps": 3, "seed": 0}


def model(body: str, **options: object) -> SpikingNetwork:
    return sewdsl.compile(body, **{**OPTIONS, **options}).double().train()  # type: ignore[arg-type]


def shown(module: SpikingNetwork, batches: int = 2) -> list[tuple[Tensor, Tensor]]:
    return [(x.double(), y) for x, y in random_inputs(module.network, samples=3, batches=batches, seed=1)]


def test_blocks_of_a_sew_network() -> None:
    found = named_residuals(sewdsl.load(SEW, input="2x8x8"))
    assert [(b.index, b.name, b.downsample) for b in found] == [
        (1, "sew_block1", False),
        (2, "sew_block2", True),
        (3, "sew_block3", False),
    ]
    assert [b.source for b in found] == ["if1", "sew_block1.add1", "sew_block2.add1"]
    assert [b.branch for b in found] == [f"sew_block{i}.branch.if2" for i in (1, 2, 3)]
    assert [b.output for b in found] == [f"sew_block{i}.add1" for i in (1, 2, 3)]


def test_blocks_of_a_spiking_network() -> None:
    """Their branch ends in a current, and their output is the neuron's after the addition."""
    found = named_residuals(sewdsl.load(SPIKING, input="2x8x8"))
    assert [b.branch for b in found] == [None] * 3
    assert [b.output for b in found] == [f"spiking_block{i}.if1" for i in (1, 2, 3)]
    assert [b.source for b in found] == ["if1", "spiking_block1.if1", "spiking_block2.if1"]


def test_joins_in_one_block_have_names_of_their_own() -> None:
    text = "sewdsl 1\ninput 2x8x8\nblock Two = ADD[c2k3-BN-IF | id]-ADD[c2k3-BN-IF | id]\nbody Two-SEW Block-FC3\n"
    names = [b.name for b in named_residuals(sewdsl.load(text))]
    assert names == ["two1.add1", "two1.add2", "sew_block1"]


def test_a_projection_begins_where_its_branch_does() -> None:
    """Not where a block does that precedes it."""
    join = "ADD[c6k3-BN-IF-SEW Block | c6k1-BN-IF]"
    found = named_residuals(
        sewdsl.load(f"c4k3-BN-IF-{{SEW Block}}*2-{join}-MPk2-{join}-ADD[id | c6k1-BN-IF]", input="2x8x8")
    )
    assert [(b.name, b.source) for b in found if b.downsample] == [
        ("add1", "repeat1.2.sew_block1.add1"),
        ("add2", "max_pool1"),
        ("add3", "add2"),
    ]


def test_a_block_that_begins_the_network() -> None:
    (found,) = named_residuals(sewdsl.load("ADD[c2k3-BN-IF | id]-GAP-FC3", input="2x8x8"))
    assert (found.source, found.name) == (None, "add1")
    module = model("ADD[c2k3-BN-IF | id]-GAP-FC3")
    x, y = shown(module, 1)[0]
    x.requires_grad_()
    (expected,) = torch.autograd.grad(functional.cross_entropy(module(x), y), x)
    (amplitude,) = block_gradients(module, [(x, y)])
    assert amplitude.amplitude == pytest.approx(expected.norm().item())


TWO_INPUTS = "sewdsl 1\ninput left 2x8x8\ninput right 2x8x8\nsteps 2\nneuron IF\n"


def test_gradients_with_several_inputs() -> None:
    """A join of several inputs is not a residual block."""
    body = "body ADD[ADD[left-c2k3-BN-SN | left] | MUL[right | left]-c2k3-BN]-GAP-FC3\n"
    module = sewdsl.compile(sewdsl.load(TWO_INPUTS + body), seed=0)
    assert [(b.name, b.source) for b in named_residuals(module.network)] == [("branch", "left")]
    x = {name: torch.rand(2, 4, 2, 8, 8) for name in ("left", "right")}
    y = torch.tensor([0, 1, 2, 0])
    x["left"].requires_grad_()
    (expected,) = torch.autograd.grad(functional.cross_entropy(module(**x), y), x["left"])
    (amplitude,) = block_gradients(module, [({name: each.detach() for name, each in x.items()}, y)])
    assert amplitude.amplitude == pytest.approx(expected.norm().item())


@pytest.mark.parametrize("body", [SEW, SPIKING])
@pytest.mark.parametrize("optimize", [0, 1])
def test_rates_by_hand(body: str, optimize: int) -> None:
    """Over two batches, from the spikes themselves."""
    module = model(body, optimize=optimize)
    values: dict[str, list[Tensor]] = {}
    found = block_rates(module, shown(module))
    for block in named_residuals(module.network):
        for name in (block.branch, block.output):
            if name is not None:
                module.get_submodule(name).register_forward_hook(
                    lambda _m, _x, y, name=name: values.setdefault(name, []).append(y.detach())
                )
    for x, _ in shown(module):
        module(x)
    for rate in found:
        assert rate.output == pytest.approx(torch.cat(values[rate.block.output], 1).mean().item())
        assert 0 < rate.output < 2
        if rate.block.branch is None:
            assert rate.branch is None
        else:
            assert rate.branch == pytest.approx(torch.cat(values[rate.block.branch], 1).mean().item())


@pytest.mark.parametrize("body", [SEW, SPIKING])
@pytest.mark.parametrize("optimize", [0, 1])
def test_gradients_by_finite_parts(body: str, optimize: int) -> None:
    """Compared with torch's own gradient of a network that is cut at the block's input."""
    module = model(body, optimize=optimize)
    batches = shown(module)
    found = block_gradients(module, batches)
    for amplitude in found:
        norms = []
        for x, y in batches:
            leaf: list[Tensor] = []

            def cut(_m: object, _x: object, s: Tensor, leaf: list[Tensor] = leaf) -> Tensor:
                leaf.append(s.detach().requires_grad_())
                return leaf[0]

            assert amplitude.block.source is not None
            hook = module.get_submodule(amplitude.block.source).register_forward_hook(cut)
            functional.cross_entropy(module(x), y).backward()  # type: ignore[no-untyped-call]
            hook.remove()
            assert leaf[0].grad is not None
            norms.append(leaf[0].grad.norm().item())
        assert amplitude.amplitude == pytest.approx(sum(norms) / len(norms))
        assert amplitude.amplitude > 0


@pytest.mark.parametrize("optimize", [0, 1, 2])
@pytest.mark.parametrize("body", ["BN-ADD[c2k3-BN-IF | id]-GAP-FC3", "ADD[c2k3-BN-IF | id]-c4k3-IF-GAP-FC3"])
def test_a_static_input_has_a_gradient_at_each_time_step(body: str, optimize: int) -> None:
    """Layers after the input are computed once or T times."""
    module = model(body, optimize=optimize, set={"encode": "direct"}).eval()
    ((x, y),) = shown(module, 1)
    sequence = x.repeat(3, 1, 1, 1, 1).requires_grad_()
    s = sequence if body.startswith("ADD") else module.get_submodule("bn1")(sequence)
    rest = model(body.removeprefix("BN-"), optimize=0, seed=0).eval()
    rest.load_state_dict({k: v for k, v in module.state_dict().items() if not k.startswith("bn1")}, strict=False)
    (expected,) = torch.autograd.grad(functional.cross_entropy(rest(s), y), s)
    (amplitude,) = block_gradients(module, [(x, y)])
    assert amplitude.amplitude == pytest.approx(expected.norm().item())


def test_weights_have_no_gradient_and_no_hook_stays() -> None:
    module = model(SEW)
    block_rates(module, shown(module))
    block_gradients(module, shown(module))
    assert all(weight.grad is None for weight in module.parameters())
    assert not any(part._forward_hooks for part in module.modules())


def test_zero_init_makes_all_networks_the_same() -> None:
    """Sec. 4.1, Fig. 5 and 6: with zero initialisation O is S, and so is its gradient, whatever the join."""
    by_join = []
    for join in ("ADD", "IAND", "AND"):
        module = model("c4k3-BN-IF-{SEW Block}*3-GAP-FC3", set={"join": join, "init": "zero"})
        found, amplitudes = block_rates(module, shown(module)), block_gradients(module, shown(module))
        assert len({rate.output for rate in found}) == 1
        by_join.append([rate.output for rate in found] + [each.amplitude for each in amplitudes])
        assert [each.amplitude for each in amplitudes] == pytest.approx([amplitudes[-1].amplitude] * 3)
    assert by_join[1] == pytest.approx(by_join[0])
    assert by_join[2] == pytest.approx(by_join[0])


@pytest.mark.parametrize("look", [block_rates, block_gradients])
def test_no_batch(look: object) -> None:
    with raises(ValueError):
        look(model(SEW), [])  # type: ignore[operator]


def test_noise() -> None:
    network = sewdsl.load(SEW, input="2x8x8", steps=3)
    (x, y), (other, _) = random_inputs(network, samples=50, batches=2, seed=4)
    assert x.shape == (3, 50, 2, 8, 8)
    assert set(x.flatten().tolist()) == {0, 1}
    assert x.mean() == pytest.approx(0.1, abs=0.01)
    assert set(y.tolist()) == {0, 1, 2}
    assert not torch.equal(x, other)
    assert torch.equal(next(random_inputs(network, samples=50, seed=4))[0], x)
    static, _ = next(random_inputs(sewdsl.load(SEW, input="2x8x8", set={"encode": "direct"}), samples=50))
    assert static.shape == (50, 2, 8, 8)
    assert static.std() == pytest.approx(1, abs=0.05)


def test_the_figure_marks_downsample_blocks_and_leaves_out_what_is_not_there() -> None:
    found = named_residuals(sewdsl.load(SEW, input="2x8x8"))
    picture = plot_curves(found, {"A": [None, 0.0, 0.5], "O": [1.0, 2.0, 3.0]}, "rates", "SEW", "log")
    (axes,) = picture.axes
    dotted = [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"]  # type: ignore[index]
    assert dotted == [2]
    drawn = {str(line.get_label()): list(line.get_xdata()) for line in axes.lines if line.get_linestyle() == "-"}  # type: ignore[arg-type]
    assert drawn == {"A": [3], "O": [1, 2, 3]}
    assert axes.get_yscale() == "log"


def test_a_title_is_no_formula() -> None:
    found = named_residuals(sewdsl.load(SEW, input="2x8x8"))
    plot_curves(found, {"S": [1.0, 2.0, 3.0]}, "gradients", r"a $\frac$ b", "log").savefig(BytesIO())


class TestCommand:
    @pytest.mark.parametrize(("command", "columns"), [("rates", ["A", "O"]), ("gradients", ["S"])])
    def test_files_and_json_agree(self, command: str, columns: list[str], tmp_path: Path) -> None:
        words = ["probe", command, SEW, "--input", "2x8x8", "--steps", "2", "--out", str(tmp_path / "new"), "--json"]
        first, second = (CliRunner().invoke(app, [*words, *again]) for again in ([], ["--overwrite"]))
        assert first.exit_code == 0, first.output
        assert first.stdout == second.stdout
        found = json.loads(first.stdout)
        assert found == json.loads((tmp_path / "new" / f"{command}.json").read_text())
        assert list(found["blocks"][0]) == ["block", "name", "downsample", *columns]
        with (tmp_path / "new" / f"{command}.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [float(row[columns[-1]]) for row in rows] == [block[columns[-1]] for block in found["blocks"]]
        assert (tmp_path / "new" / f"{command}.png").read_bytes().startswith(b"\x89PNG")

    def test_table(self) -> None:
        result = CliRunner().invoke(app, ["probe", "rates", SPIKING, "--input", "2x8x8", "--steps", "2"])
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("network: firing rates, before training, on 4 samples of random input\n")
        assert "spiking_block2" in result.stdout
        assert " yes " in result.stdout

    def test_nothing_to_look_at(self) -> None:
        result = CliRunner().invoke(app, ["probe", "rates", "c4k3-BN-IF-FC3", "--input", "2x8x8"])
        assert result.exit_code == 1
        check_words(result.stderr)

    def test_where_nothing_can_be_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing is measured before."""
        monkeypatch.setattr("sewdsl.probe.block_rates", None)
        (tmp_path / "file").write_text("mine")
        words = ["probe", "rates", SEW, "--input", "2x8x8", "--steps", "2", "--out", str(tmp_path / "file")]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 1
        check_words(result.stderr)
        assert (tmp_path / "file").read_text() == "mine"

    def test_a_network_without_a_recipe_has_no_data(self) -> None:
        result = CliRunner().invoke(app, ["probe", "rates", "tiny", "--on", "data"])
        assert (result.exit_code, result.stdout) == (1, "")
        check_words(result.stderr)

    @pytest.mark.parametrize(
        "words",
        [
            ["rates", "tiny", "--best"],
            ["rates", "tiny", "--costs", "1", "2"],
            ["energy", "tiny", "--on", "noise", "--data", "."],
            ["energy", "tiny", "--batches", "0"],
            ["energy", "tiny", "--costs", "inf", "1"],
            ["energy", "tiny", "--costs", "1", "nan"],
            ["rates", "tiny", "--seed", str(2**63)],
        ],
    )
    def test_usage(self, words: list[str]) -> None:
        assert CliRunner().invoke(app, ["probe", *words]).exit_code == 2

    @pytest.mark.parametrize(
        ("body", "options", "said"),
        [
            ("c4k3-BN-IF-SEW Block", (), "error: cross-entropy requires a vector, but the output is [4x8x8]"),
            ("c4k3-BN-IF-MPk8-SEW Block-FC3", ("--steps", "1", "--batch", "1"), "use another batch size"),
        ],
    )
    def test_a_network_that_cannot_be_looked_at(self, body: str, options: tuple[str, ...], said: str) -> None:
        result = CliRunner().invoke(app, ["probe", "gradients", body, "--input", "2x8x8", *options])
        assert (result.exit_code, result.stdout) == (1, "")
        assert said in result.stderr


class TestEnergy:
    WORDS = ("probe", "energy", SEW, "--input", "2x8x8", "--steps", "3", "--seed", "5", "--batch", "3")

    def test_json_is_what_is_counted(self, tmp_path: Path) -> None:
        words = [*self.WORDS, "--costs", "3", "0.5", "--out", str(tmp_path), "--json"]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert found == json.loads((tmp_path / "energy.json").read_text())
        module = set_untrained_mode(sewdsl.compile(SEW, **{**OPTIONS, "seed": 5}, optimize=0))  # type: ignore[arg-type]
        counted = measure_operations(module, random_inputs(module.network, samples=3, seed=5))
        assert [layer["path"] for layer in found["layers"]] == [m.most.node.name for m in counted]
        for layer, measured in zip(found["layers"], counted, strict=True):
            assert layer["dense"] == measured.dense / 3 == measured.most.dense
            assert layer["events"] == measured.events / 3
            assert layer["accumulations"] == measured.accumulations / 3
            assert layer["activity"] == measured.activity
            assert layer["multiplies"] is measured.most.real
        picojoules = [3 if m.most.real else 0.5 for m in counted]
        assert found["costs_pj"] == {"mac": 3, "ac": 0.5}
        assert found["dense_energy"] == pytest.approx(sum(3e-12 * m.dense / 3 for m in counted))
        events, accumulations = (
            sum(1e-12 * pj * getattr(m, name) / 3 for pj, m in zip(picojoules, counted, strict=True))
            for name in ("events", "accumulations")
        )
        assert found["event_energy"] == pytest.approx(events)
        assert found["accumulation_energy"] == pytest.approx(accumulations)
        assert (found["samples"], found["mode"], found["weights"], found["steps"]) == (3, "training", "initial", 3)
        with (tmp_path / "energy.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [float(row["events"]) for row in rows] == [layer["events"] for layer in found["layers"]]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["energy.csv", "energy.json"]

    def test_where_additions_cost_nothing_no_number_is_infinite(self) -> None:
        result = CliRunner().invoke(app, [*self.WORDS, "--costs", "4.6", "0", "--json"])
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout, parse_constant=pytest.fail)
        assert [layer["breaks_even_at"] is None for layer in found["layers"]] == [
            not layer["multiplies"] for layer in found["layers"]
        ]

    def test_table(self) -> None:
        result = CliRunner().invoke(app, [*self.WORDS, "--wide"])
        assert result.exit_code == 0, result.output
        title = "network: operations of one sample, T = 3, before training, on 3 samples of random input"
        assert result.stdout.startswith(title)
        module = set_untrained_mode(sewdsl.compile(SEW, **{**OPTIONS, "seed": 5}, optimize=0))  # type: ignore[arg-type]
        counted = measure_operations(module, random_inputs(module.network, samples=3, seed=5))
        lines = {line.split()[1]: line.split() for line in result.stdout.splitlines() if line.startswith((" c", " FC"))}
        for m in counted:
            figures = [f"{round(count / 3):,}" for count in (m.dense, m.events, m.accumulations)]
            assert lines[m.most.node.name][-5:-1] == [*figures, f"{m.activity:.1%}"]
        (total,) = [line.split() for line in result.stdout.splitlines() if line.startswith(" total")]
        sums = [sum(getattr(m, name) for m in counted) / 3 for name in ("dense", "events", "accumulations")]
        assert total[1:] == [f"{round(count):,}" for count in sums]

    def test_nothing_is_dropped(self) -> None:
        words = ["probe", "energy", "FC4-IF(v_threshold=0.1)-DP-FC2", "--input", "3", "--json"]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        assert [layer["multiplies"] for layer in json.loads(result.stdout)["layers"]] == [True, False]

    def test_a_string_longer_than_any_name_of_a_folder(self) -> None:
        body = "-".join(["FC2-IF"] * 99)
        result = CliRunner().invoke(app, ["probe", "energy", body, "--input", "3", "--json"])
        assert result.exit_code == 0, result.output
        assert len(json.loads(result.stdout)["layers"]) == 99

    def test_nothing_to_look_at(self) -> None:
        result = CliRunner().invoke(app, ["probe", "energy", "MPk2-GAP", "--input", "1x4x4"])
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.splitlines()[-1] == "error: 'network' has no layers with weights"
