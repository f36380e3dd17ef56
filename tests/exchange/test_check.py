"""``sewdsl export --check``: a comparison that shows nothing is refused, and what it shows is said."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

import sewdsl
from sewdsl.cli.app import app
from sewdsl.exchange.errors import UnsupportedLayer
from sewdsl.exchange.write.compare_outputs import compare_outputs
from sewdsl.exchange.write.formats import FORMAT_BY_SUFFIX
from sewdsl.exchange.write.formats import FORMATS as FORMATS_BY_NAME
from sewdsl.lower import SpikingNetwork
from tests.words import check_words

FORMATS = ("net.nir", "net.onnx", "net.py", "net.pt2")
BIAS = "c4k3-BN-LIF(v_threshold=0.1)-c4k3-BN-LIF(v_threshold=0.5)-GAP-FC3"
"""On the noise that is shown, its initial weights let the first neurons fire, and not the second."""
INPUT = ("--input", "2x8x8")


def export(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, arguments), "--check"])


@pytest.mark.parametrize("out", FORMATS)
def test_initial_weights_are_compared_with_statistics_of_the_input(out: str, tmp_path: Path) -> None:
    result = export(BIAS, tmp_path / out, *INPUT)
    assert result.exit_code == 0
    assert "with a copy whose batch norms have the statistics of this input" in result.stdout
    assert "  all 2 neuron layers fired" in result.stdout
    plain = CliRunner().invoke(app, ["export", BIAS, str(tmp_path / f"again_{out}"), *INPUT])
    assert plain.exit_code == 0
    if out == "net.nir":  # a file with weights of the network, without dates
        assert (tmp_path / out).read_bytes() == (tmp_path / f"again_{out}").read_bytes()


def test_nor_is_one_of_zeros(tmp_path: Path) -> None:
    result = export("FC8-LIF(v_threshold=1000.0)-FC3b0-IF", tmp_path / "net.nir", "--input", "16")
    assert result.exit_code == 1
    check_words(result.stderr)


def test_weights_that_pass_nothing_on(tmp_path: Path) -> None:
    torch.save(sewdsl.compile(BIAS, input="2x8x8", seed=0).state_dict(), tmp_path / "w.pt")
    result = export(BIAS, tmp_path / "net.py", *INPUT, "--weights", tmp_path / "w.pt")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "  export the run folder instead of the weights file, to compare on its test samples"
    )


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("c4k3-BN-LIF(v_threshold=0.1)-c4k3-BN-LIF(v_threshold=0.02)-GAP-FC3", ["  all 2 neuron layers fired"]),
        (
            "c4k3-BN-LIF(v_threshold=0.1)-SEW Block (SN=LIF(v_threshold=9.0))-GAP-FC3",
            [
                (
                    "  1 of 3 neuron layers fired; not tested, because silent: sew_block1.branch.lif1, "
                    "sew_block1.branch.lif2"
                )
            ],
        ),
        ("c4k3-BN-IF(v_threshold=0.1)-GAP-FC3", ["  the neuron layer fired"]),
        ("c4k3-BN-ReLU-GAP-FC3", []),
        (
            "c4k3-BN-SCALE(value=20)-ILIF-ADD[ id | ReLU-SCALE(value=-1)-ILIF ]-GAP-FC3",
            ["  1 of 2 neuron layers fired; not tested, because silent: shortcut.ilif1"],
        ),
    ],
)
def test_what_was_compared(spec: str, said: list[str], tmp_path: Path) -> None:
    result = export(spec, tmp_path / "net.py", *INPUT)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    _, difference, *more = result.stdout.splitlines()
    assert difference.startswith("outputs differ by ")
    assert more == ["  for 2 samples of random input", *said]


FIRING = "c4k3-BN-LIF(v_threshold=0.1)-c4k3-BN-LIF(v_threshold=0.02)-GAP-FC3"


@pytest.mark.parametrize("out", FORMATS)
def test_a_file_of_other_outputs_ends_with_exit_code_1(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer changes one weight by 0.1 %, or the readout of a file without weights."""
    name = FORMAT_BY_SUFFIX[Path(out).suffix]
    format_ = FORMATS_BY_NAME[name]

    def write(model: SpikingNetwork, inputs: str) -> bytes:
        if not format_.holds_weights:
            return format_.write(model, inputs).replace(b".mean(0)", b".sum(0)")
        broken = deepcopy(model)
        with torch.no_grad():
            list(broken.parameters())[-2].mul_(1.001)
        return format_.write(broken, inputs)

    monkeypatch.setitem(FORMATS_BY_NAME, name, replace(format_, write=write))
    result = export(FIRING, tmp_path / out, *INPUT, "--steps", "2")
    assert result.exit_code == 1, result.output
    first, *more = result.stderr.splitlines()
    assert first.startswith(("error: outputs differ by ", "error: outputs of all time-steps differ by "))
    assert ", tolerance " in first
    moved = "  the tolerance is twice the change by rounding, which moves spikes"
    assert [line for line in more if line != moved] == [
        "  for 2 samples of random input",
        "  all 2 neuron layers fired",
    ]
    assert "differ" not in result.stdout


def test_not_a_number_is_no_small_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    format_ = FORMATS_BY_NAME["python"]
    broken = replace(format_, run=lambda *given: format_.run(*given) * torch.nan)
    monkeypatch.setitem(FORMATS_BY_NAME, "python", broken)
    result = export(FIRING, tmp_path / "net.py", *INPUT)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: outputs differ by at most nan")


@pytest.mark.parametrize(("name", "factor", "code"), [("branch.fc1.bias", 1.0 - 2**-24, 0), ("fc1.weight", 9.0, 1)])
def test_a_spike_that_rounding_moves_is_accepted(
    name: str, factor: float, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neurons whose current is their threshold fire or not by the last digit; the outputs differ by whole spikes."""
    spec = "ADD[FC8-LIF(tau=1.0001) | FC8-IF(v_threshold=0.01)]-FC3"
    model = sewdsl.compile(spec, input="6", seed=0)
    tensors = model.state_dict()
    tensors["branch.fc1.weight"].zero_()
    tensors["branch.fc1.bias"].fill_(1.0001)
    torch.save(tensors, tmp_path / "w.pt")
    format_ = FORMATS_BY_NAME["onnx"]

    def write(model: SpikingNetwork, inputs: str) -> bytes:
        other = deepcopy(model)
        with torch.no_grad():
            other.get_parameter(name).mul_(factor)
        return format_.write(other, inputs)

    monkeypatch.setitem(FORMATS_BY_NAME, "onnx", replace(format_, write=write))
    result = export(spec, tmp_path / "net.onnx", "--input", "6", "--steps", "1", "--weights", tmp_path / "w.pt")
    assert result.exit_code == code, result.output


def test_each_output_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "two.net").write_text(
        "sewdsl 1\ninput 2x8x8\nsteps 3\nneuron LIF(v_threshold=0.05)\nlet a = c4k3-BN-SN\n"
        "let low = a-GAP-FC3\nlet high = a-c4k3-BN-SN-GAP-FC2\noutputs low high\n"
    )
    for out in FORMATS:
        result = export(tmp_path / "two.net", tmp_path / out)
        assert result.exit_code == 0, result.output
        assert "\nlow: outputs" in result.stdout
        assert "\nhigh: outputs" in result.stdout
    format_ = FORMATS_BY_NAME["onnx"]

    def run(data: bytes, x: torch.Tensor) -> dict[str, torch.Tensor]:
        outputs = format_.run(data, x)
        assert isinstance(outputs, dict)
        return {**outputs, "high": outputs["high"] + 1}

    monkeypatch.setitem(FORMATS_BY_NAME, "onnx", replace(format_, run=run))
    result = export(tmp_path / "two.net", tmp_path / "net.onnx", "--overwrite")
    assert result.exit_code == 1
    assert "high: outputs differ by at most 1.0e+00" in result.stderr


def test_a_folder_without_source_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(model: SpikingNetwork, _: str) -> bytes:
        raise UnsupportedLayer(model.network.nodes[1], "is a layer that Python export does not support")

    monkeypatch.setitem(FORMATS_BY_NAME, "python", replace(FORMATS_BY_NAME["python"], write=write))
    result = export(FIRING, tmp_path / "out", *INPUT, "--to", "folder")
    assert result.exit_code == 1
    check_words(result.stderr)
    assert not (tmp_path / "out").exists()


def test_data_is_that_of_a_run(tmp_path: Path) -> None:
    result = export(BIAS, tmp_path / "net.py", *INPUT, "--data", tmp_path)
    assert result.exit_code == 2


@pytest.mark.parametrize("wrong", [False, True])
def test_sums_without_weights_can_tie_with_the_threshold(wrong: bool) -> None:  # noqa: FBT001 -- a table
    """SpikingJelly rounds 0.3 n / 3 in another way. Spikes of ties may differ, but no others."""
    pytest.importorskip("spikingjelly")
    body = "SUM(over=channels)-SCALE(value=0.3)-LIF(tau=3.0, v_threshold=0.6)-GAP-FC3"
    model = sewdsl.compile(f"sewdsl 1\ninput 8x6x6 of 2\nsteps 12\nbody {body}\n", seed=0).double().eval()
    x = torch.randint(2, (12, 2, 8, 6, 6), generator=torch.Generator().manual_seed(0)).double()
    format_ = FORMATS_BY_NAME["spikingjelly"]
    written = format_.write(model, "")
    if wrong:
        assert b"v_threshold=0.6" in written
        written = written.replace(b"v_threshold=0.6", b"v_threshold=0.9")
    (output,) = compare_outputs(model, format_, written, x).outputs
    assert output.difference > 1e-3
    assert output.accepted is not wrong
