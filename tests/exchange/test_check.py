"""``sewdsl export --check``: a comparison that shows nothing is refused, and what it shows is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

import sewdsl
from sewdsl.cli.app import app

FORMATS = ("net.nir", "net.onnx", "net.py", "net.pt2")
BIAS = "c4k3-BN-LIF(v_threshold=0.1)-c4k3-BN-LIF(v_threshold=0.5)-GAP-FC3"
"""On the noise that is shown, its initial weights let the first neurons fire, and not the second."""
INPUT = ("--input", "2x8x8")


def export(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["export", *map(str, arguments), "--check"])


@pytest.mark.parametrize("out", FORMATS)
def test_an_output_that_is_a_bias_is_not_compared(out: str, tmp_path: Path) -> None:
    """The outputs are equal and not zero; so would be those of a file with nothing but the last layer in it."""
    result = export(BIAS, tmp_path / out, *INPUT)
    assert result.exit_code == 1
    assert result.stderr == (
        "error: the comparison shows nothing: the output is the same for 2 samples of random input as for an input of "
        "zeros\n"
        "  1 of 2 layers of neurons fired; not tested, since they were silent: lif2\n"
        "  initial weights pass few spikes on: give the folder of a run, or --weights FILE\n"
    )
    assert (tmp_path / out).exists()
    assert "differ" not in result.stdout


def test_nor_is_one_of_zeros(tmp_path: Path) -> None:
    result = export("FC8-LIF(v_threshold=1000.0)-FC3b0-IF", tmp_path / "net.nir", "--input", "16")
    assert result.exit_code == 1
    assert "0 of 2 layers of neurons fired; not tested, since they were silent: lif1, if1" in result.stderr


def test_weights_that_pass_nothing_on(tmp_path: Path) -> None:
    torch.save(sewdsl.compile(BIAS, input="2x8x8", seed=0).state_dict(), tmp_path / "w.pt")
    result = export(BIAS, tmp_path / "net.py", *INPUT, "--weights", tmp_path / "w.pt")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "  give the folder of the run that has learned them, which is checked on its test samples"
    )


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("c4k3-BN-LIF(v_threshold=0.1)-c4k3-BN-LIF(v_threshold=0.02)-GAP-FC3", ["  all 2 layers of neurons fired"]),
        (
            "c4k3-BN-LIF(v_threshold=0.1)-SEW Block (SN=LIF(v_threshold=9.0))-GAP-FC3",
            [
                (
                    "  1 of 3 layers of neurons fired; not tested, since they were silent: sew_block1.branch.lif1, "
                    "sew_block1.branch.lif2"
                )
            ],
        ),
        ("c4k3-BN-IF(v_threshold=0.1)-GAP-FC3", ["  its layer of neurons fired"]),
        ("c4k3-BN-ReLU-GAP-FC3", []),
    ],
)
def test_what_was_compared(spec: str, said: list[str], tmp_path: Path) -> None:
    result = export(spec, tmp_path / "net.py", *INPUT)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    _, difference, *more = result.stdout.splitlines()
    assert difference.startswith("outputs differ by ")
    assert more == ["  for 2 samples of random input", *said]


def test_data_is_that_of_a_run(tmp_path: Path) -> None:
    result = export(BIAS, tmp_path / "net.py", *INPUT, "--data", tmp_path)
    assert result.exit_code == 2
