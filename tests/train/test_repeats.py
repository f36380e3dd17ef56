"""``--repeat``: seeds one after another, what has ended is kept, what has begun goes on."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sewdsl.cli.app import app
from sewdsl.compiler import Compilation, read
from sewdsl.source import Source
from sewdsl.train.store.result import IntegerScore, Result
from sewdsl.train.store.run_folder import RunError, RunFolder, RunInterrupted
from sewdsl.train.study.repeats import Spread, Summary, open_folder, repeat, summary_file
from sewdsl.train.training_plan import TrainingPlan, plan_training
from tests.words import raises

from .conftest import SMALL
from .made import result


def planned(*seeds: int) -> list[tuple[Compilation, TrainingPlan]]:
    compilations = [read(Source("small.net", SMALL), set={"train.seed": seed}) for seed in seeds]
    return [(compilation, plan_training(compilation)) for compilation in compilations]


class Runs:
    """Stands in for training; notes what it was asked to do."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.started: list[int] = []
        self.went_on: list[str] = []
        self.stop_at = stop_at

    def start(self, compilation: Compilation, planned: TrainingPlan, folder: RunFolder) -> Result:
        seed = planned.recipe.seed
        self.started.append(seed)
        folder.spec.write_text(compilation.standalone_text(), "utf-8")
        if seed == self.stop_at:
            raise RunInterrupted(2)
        return self._end(folder, seed)

    def go_on(self, folder: RunFolder) -> Result:
        self.went_on.append(folder.path.name)
        return self._end(folder, int(folder.path.name.removeprefix("seed-")))

    def _end(self, folder: RunFolder, seed: int) -> Result:
        found = result(seed=seed, accuracy=0.5 + seed / 10, best_accuracy=0.9)
        folder.result.write_text(found.model_dump_json(), "utf-8")
        return found


class TestSpread:
    def test_of_several(self) -> None:
        spread = Spread.of([0.5, 0.6, 0.7])
        assert spread.mean == pytest.approx(0.6)
        assert spread.deviation == pytest.approx(0.1)

    def test_of_one(self) -> None:
        assert Spread.of([0.5]) == Spread(mean=0.5, deviation=None, values=[0.5])


class TestRepeat:
    def test_all(self, tmp_path: Path) -> None:
        runs = Runs()
        summary = repeat(planned(1, 2, 3), tmp_path, runs.start, runs.go_on)
        assert (runs.started, runs.went_on) == ([1, 2, 3], [])
        assert (summary.network, summary.data, summary.repeats, summary.seeds) == ("Small", "digits", 3, [1, 2, 3])
        assert summary.accuracy.values == [0.6, 0.7, 0.8]
        assert summary.best_accuracy.deviation == 0
        assert summary.seconds == pytest.approx(226.2)
        assert Summary.model_validate_json(summary_file(tmp_path).read_bytes()) == summary

    @pytest.mark.parametrize("lacking", [0, 2])
    def test_accuracies_in_integers(self, tmp_path: Path, lacking: int) -> None:
        def start(_: Compilation, plan: TrainingPlan, folder: RunFolder) -> Result:
            seed = plan.recipe.seed
            score = None if seed == lacking else IntegerScore(bits=4, accuracy=0.5 + seed / 10, samples=100)
            return result(seed=seed).model_copy(update={"integers": score})

        summary = repeat(planned(1, 2, 3), tmp_path, start, Runs().go_on)
        assert (summary.integers and summary.integers.values) == (None if lacking else [0.6, 0.7, 0.8])

    def test_what_has_ended_is_kept(self, tmp_path: Path) -> None:
        first, second = Runs(stop_at=2), Runs()
        with pytest.raises(RunInterrupted):
            repeat(planned(1, 2, 3), tmp_path, first.start, first.go_on)
        assert json.loads(summary_file(tmp_path).read_text("utf-8"))["seeds"] == [1]
        summary = repeat(planned(1, 2, 3), tmp_path, second.start, second.go_on)
        assert (second.started, second.went_on) == ([3], ["seed-2"])
        assert summary.accuracy.values == [0.6, 0.7, 0.8]

    def test_more_can_be_added(self, tmp_path: Path) -> None:
        runs = Runs()
        repeat(planned(1, 2), tmp_path, runs.start, runs.go_on)
        repeat(planned(1, 2, 3), tmp_path, runs.start, runs.go_on)
        assert runs.started == [1, 2, 3]

    def test_another_spec(self, tmp_path: Path) -> None:
        runs = Runs()
        repeat(planned(1), tmp_path, runs.start, runs.go_on)
        other = read(Source("small.net", SMALL.replace("c4k3", "c6k3")), set={"train.seed": 1})
        with raises(RunError):
            repeat([*planned(0), (other, plan_training(other))], tmp_path, runs.start, runs.go_on)
        assert runs.started == [1]


class TestFolder:
    def test_new_or_of_repeats(self, tmp_path: Path) -> None:
        open_folder(tmp_path / "a" / "b")
        (tmp_path / "a" / "b" / "seed-0").mkdir()
        summary_file(tmp_path / "a" / "b").touch()
        open_folder(tmp_path / "a" / "b")

    def test_of_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").touch()
        with raises(RunError):
            open_folder(tmp_path)
        with raises(RunError, "2"):
            open_folder(tmp_path / "notes.txt")


def test_command(small: Path, tmp_path: Path) -> None:
    def train(*arguments: object) -> list[str]:
        short = ("--set", "train.epochs=1", "--set", "train.batch=500")
        done = CliRunner().invoke(app, ["train", str(small), *short, *map(str, arguments)])
        assert done.exit_code == 0, done.output
        return done.stdout.splitlines()

    out = tmp_path / "out"
    *_, said, where = train("--repeat", 2, "--out", out)
    assert said.startswith("accuracy ")
    assert where.endswith(str(summary_file(out)))
    summary = Summary.model_validate_json(summary_file(out).read_bytes())
    assert summary.seeds == [0, 1]
    results = [RunFolder(out / f"seed-{seed}").read_result() for seed in summary.seeds]
    assert [one.accuracy for one in results] == summary.accuracy.values
    stamps = [RunFolder(out / "seed-0").last.stat().st_mtime_ns, RunFolder(out / "seed-1").last.stat().st_mtime_ns]
    assert train("--repeat", 2, "--out", out)[-2] == said
    assert stamps == [RunFolder(out / f"seed-{seed}").last.stat().st_mtime_ns for seed in (0, 1)]


@pytest.mark.parametrize("options", [["--resume", "x"], ["x", "--overwrite", "--out", "y"], ["x", "--devices", "2"]])
def test_what_does_not_go_together(options: list[str]) -> None:
    done = CliRunner().invoke(app, ["train", "--repeat", "2", *options])
    assert done.exit_code == 2
    assert "--repeat" in done.stderr
