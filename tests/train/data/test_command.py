"""``sewdsl train --data``, from files on disk to a run, and back."""

import json
import re
import shlex
import shutil
import signal
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from sewdsl.cli.app import app
from sewdsl.compiler import read
from sewdsl.diagnostics import SewdslError
from sewdsl.train.data.split import split_off_validation
from sewdsl.train.training_plan import plan_training
from tests.train.conftest import SMALL
from tests.train.data import trees
from tests.words import check_words

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
    found = f"data: 40 recordings for training and 10 for testing in '{tmp_path / 'sets' / 'nmnist'}'"
    assert found in done.stderr.splitlines()
    monkeypatch.setenv("SEWDSL_DATA", str(tmp_path / "sets"))
    again = run("eval", tmp_path / "run")
    assert again.exit_code == 0, again.output
    judged, _, data = again.stdout.strip().partition(", on ")
    assert judged in done.stdout
    assert data.partition("\n")[0] == "all 10 test samples of nmnist"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and a run on it, which was told of it by a relative path."""
    place = tmp_path_factory.mktemp("place")
    (place / "events.net").write_text(EVENTS, encoding="utf-8")
    trees.nmnist(place / "sets" / "nmnist", {"Train": 5})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEWDSL_CACHE", str(place / "cache"))
        patch.chdir(place)
        done = run("train", "events.net", "--data", "sets", "--out", place / "run")
    assert done.exit_code == 0, done.output
    return place


class TestWhereItLay:
    """A run remembers where its data lay."""

    @pytest.fixture
    def sets(self, place: Path) -> Iterator[Path]:
        """The data, back in its place for the next test."""
        yield place / "sets"
        if (place / "moved").exists():
            (place / "moved").rename(place / "sets")

    @pytest.fixture
    def trained(self, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A copy of the run, with which a test does as it likes."""
        monkeypatch.chdir("/")
        return Path(shutil.copytree(place / "run", tmp_path / "run"))

    def test_nobody_has_to_say_it_again(self, trained: Path, sets: Path) -> None:
        assert json.loads((trained / "local.json").read_text("utf-8")) == {"folder": str(sets)}
        assert run("eval", trained).exit_code == 0
        more = run("train", "--resume", trained, "--set", "train.epochs=2")
        assert more.exit_code == 0, more.output

    def test_the_report_s_command_repeats_the_run(
        self, trained: Path, sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = unescape((trained / "report.html").read_text("utf-8"))
        (said,) = re.findall(r"<pre><code>sewdsl (train spec\.net.*?)</code>", page)
        assert said == "train spec.net --data DIR", "a page that may be published names no folder of this machine"
        monkeypatch.chdir(trained)
        done = run(*shlex.split(said)[:-1], sets, "--out", tmp_path / "again")
        assert done.exit_code == 0, done.output
        results = [json.loads((path / "result.json").read_text("utf-8")) for path in (trained, tmp_path / "again")]
        assert results[0]["accuracy"] == results[1]["accuracy"]
        assert results[0]["firing_rates"] == results[1]["firing_rates"]

    def test_whoever_says_it_is_believed(self, trained: Path, sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        sets.rename(sets.with_name("moved"))
        monkeypatch.setenv("SEWDSL_DATA", str(sets.with_name("moved")))
        assert run("eval", trained).exit_code == 0
        monkeypatch.setenv("SEWDSL_DATA", "/nowhere")
        refused = run("eval", trained)
        assert (refused.exit_code, refused.stderr.splitlines()[0]) == (
            1,
            "error: dataset nmnist not found: '/nowhere' is not a folder",
        )
        assert "the run used" not in refused.stderr
        assert run("eval", trained, "--data", sets.with_name("moved") / "nmnist").exit_code == 0

    @pytest.mark.parametrize("arguments", [["eval"], ["train", "--set", "train.epochs=2", "--resume"]])
    def test_it_was_moved(self, trained: Path, sets: Path, arguments: list[str]) -> None:
        sets.rename(sets.with_name("moved"))
        before = {path: path.read_bytes() for path in trained.iterdir() if path.is_file() and path.name != "lock"}
        refused = run(*arguments, trained)
        assert refused.exit_code == 1
        said = refused.stderr.splitlines()
        assert said[0] == f"error: dataset nmnist not found: '{sets}' is not a folder"
        assert said[-1] == f"  the run used '{sets}'; if the dataset has moved, pass --data DIR"
        assert before == {path: path.read_bytes() for path in before}, "the run has lost nothing"

    def test_a_run_that_goes_on_elsewhere_remembers_that(self, trained: Path, sets: Path) -> None:
        moved = sets.rename(sets.with_name("moved"))
        more = run("train", "--resume", trained, "--set", "train.epochs=2", "--data", moved)
        assert more.exit_code == 0, more.output
        assert run("eval", trained).exit_code == 0

    def test_how_to_go_on(self, trained: Path, sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The variable would come before what the folder remembers."""
        (trained / "result.json").unlink()
        monkeypatch.setattr(
            "sewdsl.train.fit.train_run.evaluate_samples", lambda *_: signal.raise_signal(signal.SIGINT)
        )
        for variable, extra in ((None, ""), (str(sets), ""), ("/elsewhere", f" --data {sets}")):
            if variable:
                monkeypatch.setenv("SEWDSL_DATA", variable)
            stopped = run("train", "--resume", trained, "--data", sets)
            assert stopped.exit_code == 130
            said = stopped.stderr.splitlines()
            assert said[said.index("stopped by SIGINT") + 1] == (f"to resume: sewdsl train --resume {trained}{extra}")

    def test_nothing_was_noted(self, trained: Path, sets: Path) -> None:
        for text in ("", "[]", '{"folder": 3}', '{"folder": ""}', "\0", None):
            if text is None:
                (trained / "local.json").unlink()
            else:
                (trained / "local.json").write_text(text, "utf-8")
            assert "error: no folder for dataset nmnist; pass --data DIR" in run("eval", trained).stderr
        assert run("eval", trained, "--data", sets).exit_code == 0

    def test_what_travels_with_a_package_lies_nowhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SEWDSL_DATA", str(tmp_path))
        text = SMALL.replace("epochs 2", "epochs 1").replace("batch 200", "batch 500")
        (tmp_path / "small.net").write_text(text, "utf-8")
        assert run("train", tmp_path / "small.net", "--out", tmp_path / "run").exit_code == 0
        assert not (tmp_path / "run" / "local.json").exists()


def test_missing_data_leaves_no_run(spec: Path, tmp_path: Path) -> None:
    done = run("train", spec, "--data", tmp_path, "--out", tmp_path / "run")
    assert done.exit_code == 1
    check_words(done.stderr)
    assert not (tmp_path / "run").exists()
    check_words(run("train", spec).stderr, "2")


def test_part_of_the_data_must_be_meant(spec: Path, tmp_path: Path) -> None:
    trees.nmnist(tmp_path, {"Train": 5})
    done = run("train", spec, "--data", tmp_path, "--set", "train.subset=off", "--out", tmp_path / "run")
    assert done.exit_code == 1
    check_words(done.stderr)


def test_what_the_recipe_asks_for(spec: Path, tmp_path: Path) -> None:
    trees.nmnist(tmp_path, {"Train": 10})
    _, recipe, data = plan_training(read(spec), tmp_path)
    parts = split_off_validation(data.load(), recipe.validation, recipe.seed)
    assert [len(part.y) for part in parts if part] == [60, 20, 20]
    assert parts.train.batch(torch.arange(4)).x.shape == (3, 4, 2, 34, 34)
    assert (data.setup.augmentation.shift, data.setup.augmentation.flip, data.setup.subset) == (1, False, True)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "steps   3\n",
            "steps   3\nencode  direct\n",
            "dataset nmnist has sequences, but the network repeats a",
        ),
        ("34x34", "28x28", "a sample of nmnist is 2x34x34, but the network's input is 2x28x28"),
        ("on nmnist", "on cifar10", "a sample of cifar10 is 3x32x32, but"),
        ("on nmnist", "on image-folder", "dataset image-folder has static samples"),
    ],
)
def test_misfits_are_said_before_data_is_looked_for(old: str, new: str, said: str) -> None:
    with pytest.raises(SewdslError, match=f"data-mismatch.*{said}"):
        plan_training(read(EVENTS.replace(old, new), set={"train.resize": "none"}))


def test_folders_of_ones_own_fit_any_network() -> None:
    data = plan_training(read(EVENTS.replace("on nmnist", "on event-folder"))).data
    assert (data.setup.shape, data.setup.classes, data.setup.steps) == ((2, 34, 34), 10, 3)
