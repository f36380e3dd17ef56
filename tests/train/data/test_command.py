"""``sewdsl train --data``, from files on disk to a run, and back."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from sewdsl.cli.app import app
from sewdsl.compiler import read
from sewdsl.diagnostics import SewdslError
from sewdsl.train.data.split import with_validation
from sewdsl.train.plan import plan
from tests.train.data import trees

EVENTS = """\
sewdsl 1
network "Events"
input   2x34x34
steps   3
body    c4k3s4-BN-PLIF-SEW Block-FC10

train on nmnist {
    batch 8
    T_train 2
    optimizer Adam(lr=0.01)
    shift 1
    validation 0.25
    subset on
}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "events.net"
    path.write_text(EVENTS, encoding="utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_there_and_back(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees.nmnist(tmp_path / "sets" / "nmnist", {"Train": 5})
    done = run("train", spec, "--data", tmp_path / "sets" / "nmnist", "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    found = f"data: 40 recordings for training and 10 for the test in '{tmp_path / 'sets' / 'nmnist'}'"
    assert done.stderr.splitlines()[1] == found
    monkeypatch.setenv("SEWDSL_DATA", str(tmp_path / "sets"))
    again = run("eval", tmp_path / "run")
    assert again.exit_code == 0, again.output
    assert again.stdout.strip() in done.stdout


def test_missing_data_leaves_no_run(spec: Path, tmp_path: Path) -> None:
    done = run("train", spec, "--data", tmp_path, "--out", tmp_path / "run")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"error: nmnist is not in '{tmp_path}', nor in a folder nmnist or NMNIST or N-MNIST")
    assert not (tmp_path / "run").exists()
    assert "where does nmnist lie? Say --data DIR" in run("train", spec).stderr


def test_part_of_the_data_must_be_meant(spec: Path, tmp_path: Path) -> None:
    trees.nmnist(tmp_path, {"Train": 5})
    done = run("train", spec, "--data", tmp_path, "--set", "train.subset=off", "--out", tmp_path / "run")
    assert done.exit_code == 1
    assert "holds 50 of 60,000 training and 0 of 10,000 test recordings" in done.stderr


def test_what_the_recipe_asks_for(spec: Path, tmp_path: Path) -> None:
    trees.nmnist(tmp_path, {"Train": 10})
    _, recipe, data = plan(read(spec), tmp_path)
    parts = with_validation(data.load(), recipe.validation, recipe.seed)
    assert [len(part.y) for part in parts if part] == [60, 20, 20]
    assert parts.train.batch(torch.arange(4)).x.shape == (3, 4, 2, 34, 34)
    assert (data.setup.augmentation.shift, data.setup.augmentation.flip, data.setup.subset) == (1, False, True)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "steps   3\n",
            "steps   3\nencode  direct\n",
            "the samples of nmnist are sequences, but the network repeats a",
        ),
        ("34x34", "28x28", "a sample of nmnist is 2x34x34, but the network's input is 2x28x28"),
        ("on nmnist", "on cifar10", "a sample of cifar10 is 3x32x32, but"),
        ("on nmnist", "on image-folder", "the samples of image-folder do not change over time"),
    ],
)
def test_misfits_are_said_before_data_is_looked_for(old: str, new: str, said: str) -> None:
    with pytest.raises(SewdslError, match=f"data-mismatch.*{said}"):
        plan(read(EVENTS.replace(old, new)))


def test_folders_of_ones_own_fit_any_network() -> None:
    data = plan(read(EVENTS.replace("on nmnist", "on event-folder"))).data
    assert (data.setup.shape, data.setup.classes, data.setup.steps) == ((2, 34, 34), 10, 3)
