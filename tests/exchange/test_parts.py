"""Exports of parts: one set of weights where the format has it, and equal outputs everywhere."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from onnx import ModelProto
from typer.testing import CliRunner

from sewdsl.cli.app import app
from sewdsl.exchange import weights
from sewdsl.exchange.write.compare_outputs import compare_outputs
from sewdsl.exchange.write.formats import FORMATS, untied_weights
from sewdsl.snn.batch_norm import BatchNorm
from tests.lower.test_parts import TEXTS, T, built, shown

N = 2


@pytest.mark.parametrize("form", ["nir", "onnx", "onnx-unrolled", "torch-export", "python", "spikingjelly"])
@pytest.mark.parametrize("name", TEXTS)
def test_equal_outputs(name: str, form: str) -> None:
    if (name, form) == ("nested", "nir"):
        pytest.skip("NIR has no concatenation")
    if form == "spikingjelly":
        pytest.importorskip("spikingjelly")
    model, format_ = built(TEXTS[name], 0).eval(), FORMATS[form]
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.running_mean.fill_(-0.5)
            module.running_var.fill_(0.3)
    model = model if format_.double else model.float()
    x = shown(T, N, *model.network.settings.input).to(next(model.parameters()).dtype)
    content = format_.write(model, "")
    comparison = compare_outputs(model, format_, content, x)
    assert comparison.depends_on_input
    assert all(output.accepted for output in comparison.outputs)
    assert bool(untied_weights(model.network))
    if form == "torch-export":
        keys = {key for key in torch.export.load(io.BytesIO(content)).state_dict if key.endswith("weight")}
        assert len(keys) == sum(key.endswith("weight") for key in model.state_dict())


def onnx_of(text: str, form: str = "onnx") -> ModelProto:
    return onnx.load_from_string(FORMATS[form].write(built(text, 0).eval().float(), ""))


@pytest.mark.parametrize("form", ["onnx", "onnx-unrolled"])
@pytest.mark.parametrize("name", TEXTS)
def test_onnx_has_each_weight_once(name: str, form: str) -> None:
    model = onnx_of(TEXTS[name], form)
    names = [each.name for each in model.graph.initializer]
    names += [each.name for node in model.graph.node for at in node.attribute for each in at.g.initializer]
    network = built(TEXTS[name], 0).network
    layers = [node.name for node in network if node.weights is None and node.op.kind in {"c", "FC"}]
    found = [each for each in names if each.endswith(".weight")]
    assert sorted(found) == sorted(f"{layer}.weight" for layer in layers)


def test_a_norm_outside_of_a_part_is_folded_into_weights_of_one_call() -> None:
    text = "sewdsl 1\ninput 5\nsteps 4\nneuron LIF\npart C = FC5b0\nbody C-BN-SN-C-SN-FC2\n"
    names = [each.name for each in onnx_of(text).graph.initializer]
    assert {"C.fc1.weight", "C.fc1.weight_2"} <= {*names}


def test_the_command_says_that_weights_are_written_several_times(tmp_path: Path) -> None:
    (tmp_path / "net.net").write_text(TEXTS["siamese"])
    result = CliRunner().invoke(app, ["export", str(tmp_path / "net.net"), str(tmp_path / "net.nir")])
    assert "weights-untied: the file has separate weights of 'Eye' for each of its 2 calls" in result.output
    result = CliRunner().invoke(app, ["export", str(tmp_path / "net.net"), str(tmp_path / "net.onnx")])
    assert "weights-untied" not in result.output


def test_weights_are_loaded_by_their_only_keys(tmp_path: Path) -> None:
    model = built(TEXTS["nested"], 0)
    (tmp_path / "w.safetensors").write_bytes(weights.encode(model.float().state_dict(), ".safetensors"))
    (tmp_path / "net.net").write_text(TEXTS["nested"])
    arguments = [
        "export",
        str(tmp_path / "net.net"),
        str(tmp_path / "net.pt2"),
        "--weights",
        str(tmp_path / "w.safetensors"),
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "weights with sewdsl keys" in result.output


TWO_OPERANDS = "sewdsl 1\ninput 4\nsteps 2\nneuron LIF(v_threshold=0.4)\npart P[a | b] = ADD[a-FC4 | b]\n"


@pytest.mark.parametrize("form", ["python", "onnx"])
@pytest.mark.parametrize(
    "body",
    [
        "body P[FC4 | id]-P[id | FC4]",
        "let l = FC4\nlet r = FC4\nbody ADD[P[r | l] | P[l | r]]",
        "let l = FC4\nbody ADD[P[l | id] | P[l | l]]",
        "let l = FC4\nbody ADD[P[l | l] | P[l | id]]",
        (
            "part Q[a | b | c] = ADD[a-FC4 | b | c-FC4]\npart R[a | b] = ADD[Q[a | b | a]-FC4 | b]\nlet l = FC4\n"
            "body ADD[R[l | l] | R[l | id]]-Q[l | l | id]-P[id | SN]-P[SN | SN]"
        ),
        "part Q[a | b] = ADD[a-FC4-BN | b-FC4b0]\nlet h = Q[id | h-DELAY]-SN\nbody P[id | h]-Q[id | h]-P[h | id]",
        (
            "part Q[a | b] = ADD[a-FC4-BN | b-FC4b0]\nlet h = P[SN | id]-Q[SN | id]\nlet k = Q[h | k-DELAY]-SN\n"
            "body P[k | h]"
        ),
    ],
)
def test_the_operands_of_each_call_have_the_order_of_the_part(body: str, form: str) -> None:
    model, format_ = built(f"{TWO_OPERANDS}{body}\n", 0).eval(), FORMATS[form]
    model = model if format_.double else model.float()
    x = shown(2, N, 4).to(next(model.parameters()).dtype)
    comparison = compare_outputs(model, format_, format_.write(model, ""), x)
    assert comparison.depends_on_input
    assert all(output.accepted for output in comparison.outputs)


def test_rounding_changes_the_current_of_each_call_once() -> None:
    """The tolerance by rounding is that of a block, which has no weights here either."""
    format_, tolerances = replace(FORMATS["python"], tolerance=-1.0), []
    for word in ("part", "block"):
        head = "sewdsl 1\ninput 4\nsteps 3\nneuron LI { v = 0.5*v + x   give v }\n"
        model = built(f"{head}{word} P = LI\nbody {'-'.join('P' * 6)}\n", 0).eval()
        x = torch.rand(3, 2, 4, generator=torch.Generator().manual_seed(0)).double()
        (output,) = compare_outputs(model, format_, format_.write(model, ""), x).outputs
        tolerances.append(output.tolerance)
    assert tolerances[0] == tolerances[1] > 0
