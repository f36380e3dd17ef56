"""Claims about accuracy, by the commands that measure it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.train.store.result import accuracy_claims

FILE = "sewdsl 1\ninput 1x8x8\nsteps 2\nencode direct\nneuron LIF\nbody c4k3-BN-SN-FC10\n"


@pytest.mark.parametrize(
    ("last", "best", "expected"),
    [
        (0.9749, 0.9749, "holds for the last and the best epoch"),
        (0.5, 0.975, "holds for the best epoch"),
        (0.9751, 0.99, "holds for the last epoch"),
        (0.9, 0.95, "does not hold: the best epoch is 2.50 points below it; the standard error of 400 samples is 1.09"),
        (0.9, 0.98, "does not hold: the best epoch is 0.50 points above it; the standard error of 400 samples is 0.70"),
    ],
)
def test_accuracy(last: float, best: float, expected: str) -> None:
    network = sewdsl.load(f'{FILE}claim accuracy 97.5% "Tab. 5"\nclaim energy 1mJ\n')
    assert accuracy_claims(network, last, best, 400) == [f"claim accuracy 97.5% (Tab. 5): {expected}"]


def test_how_many_samples_there_were_need_not_be_known() -> None:
    (said,) = accuracy_claims(sewdsl.load(f"{FILE}claim accuracy 97.5%\n"), 0.9, 0.95)
    assert said == "claim accuracy 97.5%: does not hold: the best epoch is 2.50 points below it"


def test_a_run_and_its_judgement_compare(tmp_path: Path) -> None:
    text = f'{FILE}claim accuracy 100% "Tab. 5"\ntrain on digits {{\n    epochs 1\n    optimizer SGD(lr=0.1)\n}}\n'
    (tmp_path / "x.net").write_text(text, encoding="utf-8")
    run = CliRunner().invoke(app, ["train", str(tmp_path / "x.net"), "--out", str(tmp_path / "run"), "--device", "cpu"])
    assert run.exit_code == 0
    judged = CliRunner().invoke(app, ["eval", str(tmp_path / "run"), "--device", "cpu"])
    assert judged.exit_code == 0
    for said in (run.stdout, judged.stdout):
        assert "claim accuracy 100% (Tab. 5): does not hold: the best epoch is" in said
    assert "the standard error of 359 samples is" in judged.stdout
