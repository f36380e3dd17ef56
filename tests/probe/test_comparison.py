"""Studies that probe: curves are those of each network by itself, and what is written is what was found."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.compiler import compile_variants
from sewdsl.probe import block_gradients, block_rates, random_inputs
from sewdsl.probe.compare_networks import SAMPLES, BlockCurve, block_curves
from sewdsl.probe.plots import plot_panels
from tests.words import check_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NET = """\
sewdsl 1
network "Small"
input 3x12x12
steps 3
body c4k3-BN-IF-SEW Block-SEW Block (c6s2)-{SEW Block}*2-GAP-FC3
study {
    probe rates
    variant "Spiking" "block=Spiking Block"
    variant "IAND" "join=IAND"
    variant "ADD"
    vary init kaiming "kaiming zero"
    vary seed 1 2
}
"""


def write(folder: Path, *changes: tuple[str, str]) -> Path:
    text = NET
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "small.net"
    path.write_text(text)
    return path


def found(probe: str) -> list[BlockCurve]:
    every = []
    for join in ("ADD", "AND"):
        network = sewdsl.load("c4k3-BN-IF-SEW Block-SEW Block (c6s2)-GAP-FC3", input="3x12x12", set={"join": join})
        every += block_curves(network, {"join": join, "more": "x"}, probe, (1, 2))
    return every


def test_rates_are_those_of_each_seed() -> None:
    output, branch = found("rates")[:2]
    assert (output.quantity, branch.quantity) == ("O", "A")
    network = sewdsl.load("c4k3-BN-IF-SEW Block-SEW Block (c6s2)-GAP-FC3", input="3x12x12")
    for index, seed in enumerate((1, 2)):
        model = sewdsl.compile(network, seed=seed, optimize=0).train()
        expected = block_rates(model, random_inputs(network, samples=SAMPLES, seed=seed))
        assert output.runs[index] == pytest.approx([rate.output for rate in expected])
        assert branch.runs[index] == pytest.approx([rate.branch for rate in expected])
    assert output.values == pytest.approx([sum(pair) / 2 for pair in zip(*output.runs, strict=True)])
    assert output.runs[0] != output.runs[1]


def test_gradients_are_those_of_each_seed() -> None:
    (curve, _) = found("gradients")
    network = sewdsl.load("c4k3-BN-IF-SEW Block-SEW Block (c6s2)-GAP-FC3", input="3x12x12")
    model = sewdsl.compile(network, seed=2, optimize=0).train()
    expected = block_gradients(model, random_inputs(network, samples=SAMPLES, seed=2))
    assert curve.quantity == "S"
    assert curve.runs[1] == pytest.approx([each.amplitude for each in expected], rel=1e-3)


def test_panels() -> None:
    """Gradients: a panel for each value of the first axis. Rates: one for each quantity, counts apart."""
    figure = plot_panels(found("gradients"), "G")
    assert [axes.get_title() for axes in figure.axes[:2]] == ["ADD", "AND"]
    assert [axes.get_yscale() for axes in figure.axes[:2]] == ["log", "log"]
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["x"]  # type: ignore[union-attr]
    every = found("rates")
    counts = BlockCurve(every[0].network, {"join": "ADD", "more": "y"}, "O", every[0].blocks, ((0.5, 1.5),))
    figure = plot_panels([*every, counts], "R")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        "firing rate of the output O",
        "firing rate of the output O, counts",
        "firing rate of the last neuron A",
    ]
    marks = [line for line in figure.axes[0].get_lines() if line.get_linestyle() == ":"]
    assert [str(line.get_xdata()) for line in marks] == ["[2, 2]"]
    assert figure.axes[0].get_ylim()[0] == 0


@pytest.mark.parametrize(("first", "second", "colours"), [(2, 4, 2), (2, 6, 12), (12, 1, 12)])
def test_no_two_networks_look_alike(first: int, second: int, colours: int) -> None:
    curve = found("rates")[0]
    every = [replace(curve, labels={"a": str(a), "b": str(b)}) for a in range(first) for b in range(second)]
    lines = plot_panels(every, "R").axes[0].get_lines()[1:]  # after the mark of the downsample block
    looks = {(str(line.get_color()), str(line.get_linestyle())) for line in lines}
    assert (len(looks), len({colour for colour, _ in looks})) == (first * second, colours)


def test_one_block_can_be_seen() -> None:
    curve = found("gradients")[0]
    short = replace(curve, labels={"n": "1"}, blocks=curve.blocks[:1], runs=((1.0,),))
    drawn = plot_panels([short, replace(curve, labels={"n": "2"})], "G").axes[0].get_lines()
    assert [line.get_marker() for line in drawn if line.get_label() in {"1", "2"}] == ["o", ""]


def test_names_are_no_formulas() -> None:
    curve = found("rates")[0]
    for quantity in ("S", "O"):
        names = {"variant": r"$\frac$", "init": r"$\sqrt$"}
        plot_panels([replace(curve, labels=names, quantity=quantity)], r"$\frac$").savefig(BytesIO())


def test_a_study_that_probes(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["study", str(write(tmp_path)), "--out", str(tmp_path / "o")])
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "o").iterdir()} == {"rates.csv", "rates.json", "rates.png"}
    told = json.loads((tmp_path / "o/rates.json").read_text())
    assert (told["samples"], told["seeds"]) == (SAMPLES, [1, 2])
    assert {(*curve["input"], curve["steps"]) for curve in told["curves"]} == {(3, 12, 12, 3)}
    by_name = {(*curve["labels"].values(), curve["quantity"]): curve["values"] for curve in told["curves"]}
    assert len(by_name) == 3 * 2 * 2
    zero = [by_name[variant, "kaiming zero", "O"] for variant in ("Spiking", "IAND", "ADD")]
    assert zero[0] == zero[1] == zero[2]  # Sec. 4.1: with zero initialisation, all have the same rates
    assert by_name["Spiking", "kaiming", "A"] == by_name["Spiking", "kaiming", "O"]
    assert by_name["ADD", "kaiming zero", "A"] == [0, 0, 0, 0]
    rows = list(csv.DictReader((tmp_path / "o/rates.csv").read_text().splitlines()))
    assert len(rows) == 12 * 4
    assert float(rows[0]["mean"]) == pytest.approx((float(rows[0]["seed 1"]) + float(rows[0]["seed 2"])) / 2)
    assert [row["downsample"] for row in rows[:4]] == ["False", "True", "False", "False"]
    assert done.stderr.splitlines()[0] == "network 1 of 6: Spiking, init kaiming"


def test_without_variants_of_seeds(tmp_path: Path) -> None:
    """The recipe's seed, or zero."""
    one_init = ('    vary init kaiming "kaiming zero"\n', "")
    path = write(tmp_path, ("    vary seed 1 2\n", ""), one_init, ("rates", "gradients"))
    done = CliRunner().invoke(app, ["study", str(path), "--out", str(tmp_path / "o")])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "o/gradients.json").read_text())["seeds"] == [0]
    path.write_text(path.read_text() + "train on mnist5k {\n  seed 7\n  epochs 1\n  optimizer SGD(lr=0.1)\n}\n")
    assert CliRunner().invoke(app, ["study", str(path), "--out", str(tmp_path / "p")]).exit_code == 0
    assert json.loads((tmp_path / "p/gradients.json").read_text())["seeds"] == [7]


def test_networks_that_share_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other steps, sizes and depths: the title says what all share, each curve has its own blocks."""
    titles: list[str] = []

    def note(every: Sequence[BlockCurve], title: str) -> Figure:
        titles.append(title)
        return plot_panels(every, title)

    monkeypatch.setattr("sewdsl.probe.plots.plot_panels", note)
    variants_ = ('variant "IAND" "join=IAND"', 'variant "IAND" "join=IAND" "steps=2" "input=3x10x10"')
    deeper = ('variant "ADD"', 'variant "ADD" "body=c4k3-BN-IF-{SEW Block}*5-GAP-FC3"')
    path = write(tmp_path, variants_, deeper, ("probe rates", "probe gradients"), ("    vary seed 1 2\n", ""))
    done = CliRunner().invoke(app, ["study", str(path), "--out", str(tmp_path / "o")])
    assert done.exit_code == 0, done.output
    assert titles == ["Small: before training, random input, N = 4"]
    found = json.loads((tmp_path / "o/gradients.json").read_text())["curves"]
    assert [(len(curve["values"]), curve["steps"], curve["input"][1]) for curve in found[::2]] == [
        (4, 3, 12),
        (4, 2, 10),
        (5, 3, 12),
    ]


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (3, 3), (4, 2), (5, 2)])
def test_no_panel_is_empty(count: int, columns: int) -> None:
    (curve, _) = found("gradients")
    every = [replace(curve, labels={"join": str(i), "more": "x"}) for i in range(count)]
    figure = plot_panels(every, "G")
    assert [axes.get_title() for axes in figure.axes] == [str(i) for i in range(count)]
    first = figure.axes[0].get_subplotspec()
    assert first is not None
    assert first.get_gridspec().ncols == columns


def test_the_folder_of_another_study_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "o/join=ADD").mkdir(parents=True)
    done = CliRunner().invoke(app, ["study", str(write(tmp_path)), "--out", str(tmp_path / "o")])
    assert done.exit_code == 1
    assert "contains 'join=ADD', which is not part of this study" in done.output
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["join=ADD"]
    for probe in ("rates", "gradients"):  # which go together
        path = write(
            tmp_path,
            ("probe rates", f"probe {probe}"),
            ("    vary seed 1 2\n", ""),
            ('    vary init kaiming "kaiming zero"\n', ""),
        )
        done = CliRunner().invoke(app, ["study", str(path), "--out", str(tmp_path / "p")])
        assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "p").iterdir())) == 6


def test_networks_have_the_same_seeds(tmp_path: Path) -> None:
    path = write(tmp_path, ('"join=IAND"', '"train.seed=5"'), ("    vary seed 1 2\n", ""))
    path.write_text(path.read_text() + "train on mnist5k {\n  epochs 1\n  optimizer SGD(lr=0.1)\n}\n")
    done = CliRunner().invoke(app, ["study", str(path), "--out", str(tmp_path / "o")])
    assert (done.exit_code, done.stdout) == (1, "")
    check_words(done.stderr)
    assert not (tmp_path / "o").exists()


def test_a_network_that_cannot_be_looked_at(tmp_path: Path) -> None:
    path = write(tmp_path, ("-GAP-FC3", ""), ("rates", "gradients"))
    done = CliRunner().invoke(app, ["study", str(path), "--out", str(tmp_path / "o")])
    assert done.exit_code == 1
    check_words(done.stderr)
    assert list((tmp_path / "o").iterdir()) == []


def test_list(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["study", str(write(tmp_path)), "--out", "o", "--list"])
    assert done.stdout.splitlines()[1] == "o: Spiking, init kaiming zero; seeds 1, 2"
    assert not Path("o").exists()
    path = write(tmp_path, ("    vary seed 1 2\n", ""))
    assert (
        CliRunner().invoke(app, ["study", str(path), "--out", "o", "--list"]).stdout.splitlines()[0].endswith("seeds 0")
    )


def test_data_is_of_no_use(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["study", str(write(tmp_path)), "--data", str(tmp_path)])
    assert done.exit_code == 2
    assert "--data" in done.output


def test_a_network_without_blocks(tmp_path: Path) -> None:
    path = write(tmp_path, ('variant "ADD"', 'variant "Plain" "block=Plain Block"'))
    done = CliRunner().invoke(app, ["study", str(path), "--out", str(tmp_path / "o")])
    assert done.exit_code == 1
    assert "error: 'Plain, init kaiming' has no residual blocks" in done.output
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("probe rate", "invalid-argument", "unknown quantity 'rate' to probe"),
        ("probe rates gradients", "invalid-argument", "unknown quantity 'rates gradients' to probe"),
        ("probe rates\n    probe rates", "duplicate-setting", "duplicate 'probe'"),
        ("prob rates", "unknown-setting", "unknown setting 'prob' of the study"),
        ("vary seed 1 x", "invalid-argument", "seed must be a non-negative integer, got 'x'"),
        ("vary seed -1", "invalid-argument", "seed must be a non-negative integer, got '-1'"),
    ],
)
def test_mistakes(tmp_path: Path, line: str, code: str, message: str) -> None:
    old = "    vary seed 1 2" if "seed" in line else "    probe rates"
    base, found = compile_variants(write(tmp_path, (old, f"    {line}")))
    assert [(d.code, d.message) for d in base.diagnostics] == [(code, message)]
    assert found == ()
