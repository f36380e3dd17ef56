"""The energy table: what lies between estimate and count adds up, and each column is what its definition says."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from itertools import product
from operator import attrgetter
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

import sewdsl
from sewdsl.analysis.energy import (
    EnergyCosts,
    LayerCounts,
    MemoryCosts,
    energy_gaps,
    implied_rate,
)
from sewdsl.cli.app import app
from sewdsl.lower import SpikingNetwork
from sewdsl.lower.spiking_network import watch_nodes
from sewdsl.notation.energy_forms import HEAD, EnergyForm, EnergyTable, write_energy_table
from sewdsl.probe import MeasuredActivations, measure_operations, random_inputs, set_untrained_mode

NETS = {
    "padding, stride, groups": ("c4k3p2-BN-SN-c6k3s2g2-BN-SN-c3k2p1s3-BN-SN-FC5", "2x7x6"),
    "counts": ("c4k3-BN-SN-{SEW Block}*3-c3k3s2p0-BN-SN-FC3", "2x6x6"),
    "average pooling": ("c4k3-BN-SN-APk2-c3k3-BN-SN-GAP-FC3", "2x6x6"),
    "membranes that are multiplied": ("c4k3-BN-MS Block (c4)-MS Block (c6s2)-SN-GAP-FC3", "2x6x6"),
    "a loop": ("FC6-LOOP[SN | FC6]-FC3", "7"),
    "a loop of counts": ("FC6-SN-LOOP[ADD[SN | FC6-SN] | FC6-FC6]-FC3", "7"),
    "a loop without spikes": ("LOOP[id | SCALE(value=0.5)]-FC6-SN-LOOP[SN | DELAY]-FC3", "7"),
    "attention": ("c8k3-BN-SN-ATTN[ADD[c8k1-SN | id] | c8k1-SN | c8k3-SN]-SN-FC3", "2x4x4"),
}
COSTS = EnergyCosts()
PDFLATEX = shutil.which("pdflatex")


def compiled(body: str, size: str, **options: Any) -> SpikingNetwork:
    network = sewdsl.compile(body, input=size, steps=3, neuron="IF(v_threshold=0.1)", seed=0, optimize=0, **options)
    return set_untrained_mode(network.double())


def shown(model: SpikingNetwork) -> list[tuple[Tensor, Tensor]]:
    return [(3 * x.double(), y) for x, y in random_inputs(model.network, samples=2, batches=2, seed=1)]


def lines_of(model: SpikingNetwork, batches: list[tuple[Tensor, Tensor]]) -> list[LayerCounts]:
    return [found.counts for found in measure_operations(model, batches)]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("costs", [COSTS, EnergyCosts(1.0, 1.0), EnergyCosts(3.0, 0.0)])
def test_the_differences_add_up(name: str, costs: EnergyCosts) -> None:
    model = compiled(*NETS[name])
    lines = lines_of(model, shown(model))
    counted, estimated = (
        sum(each) for each in zip(*((x.counted(costs), x.estimated(costs)) for x in lines), strict=True)
    )
    assert sum(energy_gaps(lines, costs).values()) == pytest.approx(counted - estimated, rel=1e-9, abs=1e-18)


def test_the_last_row_is_the_energy_of_the_totals() -> None:
    """In joules: each MAC of a column takes 3 pJ here, each AC half a pJ, and dense operations are MACs."""
    model = compiled(*NETS["counts"])
    lines = lines_of(model, shown(model))
    table = EnergyTable(model.network, "", lines, 0.0, EnergyCosts(3.0, 0.5), MemoryCosts(), trained=False)
    macs, acs, _, effective_macs, effective_acs, dense = map(float, table.totals()[2:8])
    energies = [3 * macs, 0.5 * acs, 3 * effective_macs, 0.5 * effective_acs, 3 * dense]
    assert dense
    assert [energy for energy in table.energies()[2:8] if energy != ""] == pytest.approx([e * 1e-12 for e in energies])


@pytest.mark.parametrize(
    ("name", "causes"),
    [
        ("padding, stride, groups", {"padding", "places"}),
        ("counts", {"padding", "places", "counts"}),
        ("average pooling", {"padding", "places", "real values"}),
        ("membranes that are multiplied", {"padding", "places", "real values"}),
        ("attention", {"padding", "places", "attention"}),
    ],
)
def test_each_difference_has_its_cause(name: str, causes: set[str]) -> None:
    model = compiled(*NETS[name])
    gaps = energy_gaps(lines_of(model, shown(model)), COSTS)
    assert {cause for cause, energy in gaps.items() if abs(energy) > 1e-15} - {"zeros", "input of spikes"} == causes
    assert gaps["padding"] < 0
    assert gaps["counts"] >= 0
    assert gaps["real values"] >= 0


def test_an_input_of_spikes_is_added() -> None:
    model = compiled("c4k3p0-BN-SN-FC3", "2x5x5")
    x = (torch.rand(3, 2, 2, 5, 5) < 0.3).double()
    first = measure_operations(model, [(x, torch.zeros(2))])[0].counts
    assert first.most.first
    assert first.estimated_macs == 3 * model.network.macs(first.most.node)
    assert first.counted(COSTS) < first.estimated(COSTS)
    gaps = energy_gaps([first], COSTS)
    assert gaps["zeros"] < 0
    assert gaps["padding"] == 0


@pytest.mark.parametrize("name", NETS)
def test_the_estimate_is_the_formula(name: str) -> None:
    """E = E_MAC · FLOPs_1 + E_AC · Σ rate · FLOPs · T, from the inputs of the layers."""
    model = compiled(*NETS[name])
    batches, network = shown(model), model.network
    seen: dict[str, list[Sequence[Tensor]]] = {}
    lines = lines_of(model, batches)
    names = [line.name for line in lines]
    with torch.no_grad(), watch_nodes(model, names, lambda node, x, _: seen.setdefault(node, []).append(x)):
        for x, _ in batches:
            model(x)
    for line in lines:
        node = line.most.node
        fans = node.op.fan_outs(*network.inputs(node))
        read = [x for xs in seen[line.name] for x, fan in zip(xs, fans, strict=True) if fan is not None]
        rate = sum(int((x != 0).sum()) for x in read) / sum(x.numel() for x in read)
        flops = network.macs(node)
        assert line.most.first == (line is lines[0] or line.name == "ms_block1.shortcut.conv1")
        if line.most.first:
            assert line.estimated(COSTS) == pytest.approx(4.6e-12 * flops * 3)
        else:
            assert line.estimated(COSTS) == pytest.approx(0.9e-12 * rate * flops * 3)


@pytest.mark.parametrize("name", ["padding, stride, groups", "counts", "average pooling"])
def test_neurobenchs_figures_are_its_forwards_of_ones(name: str) -> None:
    """NeuroBench sets inputs and weights to 1, all or only the non-zero ones, and runs the layer."""
    model = compiled(*NETS[name])
    batches = shown(model)
    lines = lines_of(model, batches)
    found = {line.name: line.synaptic_operations for line in lines}
    sums = {line.name: [0.0, 0.0, 0.0] for line in lines}
    binary = dict.fromkeys(sums, True)

    def count(node: str, inputs: Sequence[Tensor]) -> None:
        layer, (x_TN,) = model.get_submodule(node), inputs
        weights = dict(layer.named_parameters())
        ones = {key: torch.full_like(w, float(not key.endswith("bias"))) for key, w in weights.items()}
        again = 3 // x_TN.shape[0]
        binary[node] &= bool(((x_TN == 0) | (x_TN == 1)).all())
        for at, x in ((0, (x_TN != 0).double()), (2, torch.ones_like(x_TN))):
            y = torch.func.functional_call(layer, ones, (x,))
            sums[node][at] += float(y.sum()) * again

    kept: list[tuple[str, Sequence[Tensor]]] = []
    with torch.no_grad():
        with watch_nodes(model, sums, lambda node, x, _: kept.append((node, x))):
            for x, _ in batches:
                model(x)
        for node, inputs in kept:
            count(node, inputs)
    for node, (effective, _, dense) in sums.items():
        macs, acs, every = found[node]
        assert (macs, acs) == pytest.approx((0, effective / 4) if binary[node] else (effective / 4, 0))
        assert every == pytest.approx(dense / 4)


def test_activation_sparsity() -> None:
    model = compiled(*NETS["counts"])
    batches, activations = shown(model), MeasuredActivations()
    measure_operations(model, batches, activations)
    spikes: list[Tensor] = []
    neurons = [node.name for node in model.network if node.op.kind == "IF"]
    with torch.no_grad(), watch_nodes(model, neurons, lambda *values: spikes.append(values[-1])):
        for x, _ in batches:
            model(x)
    values = torch.cat([y.flatten() for y in spikes])
    assert activations.sparsity == pytest.approx(1 - float(values.mean()))
    assert 0 < activations.sparsity < 1


def test_memory_traffic() -> None:
    """A weight for each event, none of products; two words for each state, place and time-step."""
    model = compiled("c4k3-BN-SN-c2k3-BN-SN-FC3-PSN", "1x5x5")
    lines = lines_of(model, shown(model))
    assert [line.most.membranes for line in lines] == [2 * 4 * 25 * 3, 2 * 2 * 25 * 3, 0]
    assert [line.weights for line in lines] == [line.events for line in lines]
    model = compiled(*NETS["attention"])
    product_of = next(line for line in lines_of(model, shown(model)) if line.most.node.op.kind == "ATTN")
    assert (product_of.weights, product_of.most.membranes) == (0, 2 * 8 * 16 * 3)
    assert product_of.synaptic_operations == (0, 0, 0)


def test_states_of_equations() -> None:
    text = (
        "sewdsl 1\ninput 3\nsteps 5\nneuron Two(decay=0.5) {\n    state i = 0\n    i = decay*i + x\n    h = v + i\n"
        "    s = fire(h - v_threshold)\n    v = reset(h, s)\n    give s\n}\nbody FC4-Two-FC2\n"
    )
    network = sewdsl.compile(text, seed=0, optimize=0)
    line = lines_of(network, random_inputs(network.network, samples=2))[0]  # type: ignore[arg-type]
    assert line.most.membranes == 2 * 2 * 4 * 5


def test_the_implied_rate_is_the_one_that_gives_the_energy() -> None:
    model = compiled("c4k3-BN-SN-c3k3-BN-SN-FC3", "2x6x6")
    lines = lines_of(model, shown(model))
    rate = implied_rate(lines, sum(line.estimated(COSTS) for line in lines), COSTS, 3)
    adding = [line for line in lines if not line.most.first]
    mean = sum(line.rate * line.flops for line in adding) / sum(line.flops for line in adding)
    assert rate == pytest.approx(mean)
    assert implied_rate(lines[:1], 1.0, COSTS, 3) is None


def table(text: str, *, trained: bool = False, title: str = "50% of a_b") -> EnergyTable:
    network = sewdsl.compile(text, seed=0, optimize=0)
    activations = MeasuredActivations()
    measured = measure_operations(set_untrained_mode(network), random_inputs(network.network, samples=2), activations)
    lines = [m.counts for m in measured]
    return EnergyTable(network.network, title, lines, activations.sparsity, COSTS, MemoryCosts(), trained)


FILE = "sewdsl 1\ninput 1x8x8\nsteps 4\nencode direct\nneuron LIF\nbody c4k3-BN-SN-{SEW Block (c4)}*2-GAP-FC10\n"


def test_latex_is_a_table_of_as_many_columns() -> None:
    text = write_energy_table(found := table(FILE + 'claim energy 4.5mJ "Tab. 2 & #3_4"\n'), "latex")
    opened = re.findall(r"\\begin\{(\w+)\}", text)
    assert opened == ["table", "tabular"]
    assert re.findall(r"\\end\{(\w+)\}", text) == opened[::-1]
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")
    rules = [text.index(rule) for rule in ("\\toprule", "\\midrule", "\\bottomrule")]
    assert rules == sorted(rules)
    (columns,) = re.findall(r"\\begin\{tabular\}\{([lr]+)\}", text)
    rows = [line for line in text.splitlines() if line.endswith("\\\\")]
    assert len(rows) == 1 + len(found.lines) + 2
    assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {len(columns)} == {len(HEAD)}
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert not re.search(r"(?<!\\)[%#_]", body)
    assert all(ord(letter) < 128 for letter in body)
    assert "50\\% of a\\_b" in text
    assert "Tab. 2 \\& \\#3\\_4" in text
    assert "Horowitz, ISSCC 2014" in text


@pytest.mark.skipif(PDFLATEX is None, reason="pdflatex is not installed")
def test_latex_compiles(tmp_path: Path) -> None:
    assert PDFLATEX is not None
    text = write_energy_table(table(FILE), "latex")
    whole = (
        f"\\documentclass{{article}}\n\\usepackage{{booktabs,graphicx}}\n\\begin{{document}}\n{text}\\end{{document}}\n"
    )
    (tmp_path / "x.tex").write_text(whole, encoding="utf-8")
    done = subprocess.run(
        [PDFLATEX, "-halt-on-error", "-interaction=nonstopmode", "x.tex"], cwd=tmp_path, check=False, timeout=120
    )
    assert done.returncode == 0


def test_markdown_is_a_table_of_as_many_columns() -> None:
    text = write_energy_table(found := table(FILE), "markdown")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(found.lines) + 2
    assert {row.count(" | ") for row in rows} == {len(HEAD) - 1}
    assert "Horowitz, ISSCC 2014" in text


def test_csv_holds_the_numbers() -> None:
    found = table(FILE)
    text = write_energy_table(found, "csv")
    rows = list(csv.reader(line for line in text.splitlines() if not line.startswith("#")))
    assert rows[0] == list(HEAD)
    assert [row[1] for row in rows[1:-2]] == [line.name for line in found.lines]
    for column, of in ((2, "macs"), (3, "acs"), (10, "weights"), (11, "most.membranes")):
        assert [float(row[column]) for row in rows[1:-2]] == [attrgetter(of)(line) for line in found.lines]
    assert float(rows[-2][4]) == pytest.approx(sum(line.events for line in found.lines))
    assert float(rows[-1][9]) == pytest.approx(found.estimated)
    assert float(rows[-1][2]) + float(rows[-1][3]) == pytest.approx(found.counted)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{right}", "holds for the usual estimate"),
        ("{again}", "holds for the usual estimate with the first layer at each of 4 time-steps"),
        ("1mJ", "implies more energy than all values firing at every time-step; the weights are untrained"),
        ("1pJ", "implies less energy than the first layer needs"),
    ],
)
def test_claims(written: str, expected: str) -> None:
    found = table(FILE)
    first = next(line for line in found.lines if line.most.first)
    assert found.repeated == pytest.approx(found.estimated + 3 * first.estimated(COSTS))
    written = written.format(right=f"{found.estimated * 1e9:.2f}nJ", again=f"{found.repeated * 1e9:.2f}nJ")
    (said,) = table(f'{FILE}claim energy {written} "Tab. 2"\n').claims()
    assert said.startswith(f"claim energy {written} (Tab. 2): ")
    assert expected in said


def test_a_claim_of_a_trained_network_says_nothing_of_training() -> None:
    (said,) = table(f"{FILE}claim energy 40nJ\n", trained=True).claims()
    assert "trained" not in said
    assert re.search(r"at a mean rate of \d+\.\d%; the claim implies a mean rate of \d+\.\d%", said)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_constants_can_be_set(tmp_path: Path) -> None:
    path = tmp_path / "x.net"
    path.write_text(FILE + "claim energy 1mJ\n", encoding="utf-8")
    usual = json.loads(run("probe", "energy", str(path), "--json").stdout)
    other = json.loads(run("probe", "energy", str(path), "--json", "--memory-costs", "10", "0").stdout)
    assert other["weight_energy"] == pytest.approx(2 * usual["weight_energy"])
    assert other["membrane_energy"] == 0 < usual["membrane_energy"]
    assert usual["claims"][0]["holds"] is False
    assert usual["claims"][0]["measured"] == usual["estimated_energy"]
    assert sum(usual["differences"].values()) == pytest.approx(usual["counted_energy"] - usual["estimated_energy"])
    text = run("probe", "energy", str(path), "--as", "markdown", "--costs", "1", "2", "--memory-costs", "3", "4").stdout
    assert "1 pJ per multiply-accumulate (MAC), 2 pJ per accumulation (AC), 3 pJ per 32-bit weight read, 4 pJ" in text
    assert "custom values" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rates", "7b-net", "--as", "csv"], "--as requires 'probe energy'"),
        (["rates", "7b-net", "--memory-costs", "1", "1"], "--memory-costs requires 'probe energy'"),
        (["energy", "7b-net", "--as", "csv", "--json"], "--as and --json cannot be combined"),
    ],
)
def test_what_does_not_go_together(arguments: list[str], said: str) -> None:
    result = run("probe", *arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_the_plain_table_names_the_estimate_and_the_claims(tmp_path: Path) -> None:
    path = tmp_path / "x.net"
    path.write_text(FILE + 'claim energy 1mJ "Tab. 2"\n', encoding="utf-8")
    text = run("probe", "energy", str(path)).stdout
    assert "usual estimate" in text
    assert "claim energy 1mJ (Tab. 2): does not hold" in text


def test_every_combination_of_costs_prints(tmp_path: Path) -> None:
    path = tmp_path / "x.net"
    path.write_text(FILE, encoding="utf-8")
    for form, costs in product(get_args(EnergyForm), (("0", "0"), ("4.6", "0.9"))):
        assert run("probe", "energy", str(path), "--as", form, "--costs", *costs).exit_code == 0
