"""``sewdsl runs``: every run below a folder, whatever state it is in."""

import json
import time
from pathlib import Path

import pytest
from filelock import lock_descriptor, unlock_descriptor
from typer.testing import CliRunner, Result

from sewdsl.cli.app import app
from sewdsl.train.store.run_folder import RunError, RunFolder, run_lock
from sewdsl.train.store.run_lookup import WEIGHTS
from sewdsl.train.store.run_record import list_runs, summarize_run
from tests.words import check_words, raises

from .made import finished, unfinished


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["runs", *map(str, arguments)])


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """Five runs, two of them broken, and folders that are none."""
    finished(tmp_path / "b" / "seed-0", accuracy=0.9)
    finished(tmp_path / "b" / "seed-1", accuracy=0.95, seed=1)
    unfinished(tmp_path / "a")
    finished(tmp_path / "c").result.write_text("{", "utf-8")
    finished(tmp_path / "d").spec.unlink()
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "result.json").write_text("{}", "utf-8")
    return tmp_path


class TestLook:
    def test_finished(self, tmp_path: Path) -> None:
        run = summarize_run(finished(tmp_path / "run"))
        assert (run.network, run.data, run.epochs, run.planned, run.seed) == ("Small", "digits", 2, 2, 7)
        assert (run.accuracy, run.best_accuracy, run.parameters, run.seconds) == (0.7654, 0.8765, 1234, 75.4)
        assert (run.state, run.problem) == ("finished", None)

    def test_interrupted(self, tmp_path: Path) -> None:
        run = summarize_run(unfinished(tmp_path / "run"))
        assert (run.network, run.data, run.epochs, run.planned, run.seed) == ("Small", "digits", 2, 2, 0)
        assert (run.accuracy, run.best_accuracy, run.seconds, run.state) == (0.75, 0.75, None, "interrupted")
        assert run.parameters == 827

    def test_running(self, tmp_path: Path) -> None:
        folder = unfinished(tmp_path / "run")
        with run_lock(folder):
            assert summarize_run(folder).state == "running"
        assert summarize_run(folder).state == "interrupted"

    def test_running_and_not_ours_to_write(self, tmp_path: Path) -> None:
        folder = unfinished(tmp_path / "run")
        with run_lock(folder):
            folder.lock.chmod(0o444)
            assert summarize_run(folder).state == "running"

    def test_whoever_looks_at_the_same_time_is_no_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = unfinished(tmp_path / "run")
        folder.lock.touch()
        with folder.lock.open() as other:
            assert lock_descriptor(other.fileno(), blocking=False)
            monkeypatch.setattr(time, "sleep", lambda _: unlock_descriptor(other.fileno()))
            assert summarize_run(folder).state == "interrupted"

    @pytest.mark.parametrize(
        ("name", "damage", "problem"),
        [
            ("spec.net", None, "spec.net is missing"),
            ("spec.net", "", "spec.net is empty"),
            ("spec.net", "sewdsl 1\nbody c0\n", "spec.net has errors; run 'sewdsl check' to list them"),
            ("recipe.json", None, "recipe.json is missing"),
            ("recipe.json", "[1]", "recipe.json is damaged"),
            ("result.json", "{}", "result.json' is damaged or from another version: 'network' is missing"),
        ],
    )
    def test_broken(self, tmp_path: Path, name: str, damage: str | None, problem: str) -> None:
        folder = unfinished(tmp_path / "run")
        if damage is None:
            (folder.path / name).unlink()
        else:
            (folder.path / name).write_text(damage, "utf-8")
        run = summarize_run(folder)
        assert run.state == "broken"
        assert problem in (run.problem or "")
        assert run.epochs == 2

    def test_nothing_to_read(self, tmp_path: Path) -> None:
        run = summarize_run(RunFolder(tmp_path))
        assert (run.state, run.network, run.epochs) == ("broken", None, 0)


class TestFind:
    def test_at_any_depth(self, parent: Path) -> None:
        assert [run.path.relative_to(parent).as_posix() for run in list_runs(parent)] == [
            "a",
            "b/seed-0",
            "b/seed-1",
            "c",
            "d",
        ]
        assert [run.state for run in list_runs(parent)] == ["interrupted", "finished", "finished", "broken", "broken"]

    def test_a_run_itself(self, parent: Path) -> None:
        assert [run.path for run in list_runs(parent / "a")] == [parent / "a"]

    def test_an_exported_folder_is_no_run(self, parent: Path) -> None:
        (parent / "a" / WEIGHTS).write_bytes(b"")
        assert parent / "a" not in [run.path for run in list_runs(parent)]

    def test_no_folder(self, tmp_path: Path) -> None:
        with raises(RunError):
            list(list_runs(tmp_path / "nowhere"))


class TestCommand:
    def test_table(self, parent: Path) -> None:
        done = command(parent)
        assert done.exit_code == 0, done.output
        head, _, *rows = [line.split() for line in done.stdout.splitlines() if line.strip()]
        assert head == ["run", "network", "data", "epochs", "last", "best", "parameters", "seconds", "seed", "state"]
        assert rows[0] == ["a", "Small", "digits", "2/2", "75.00%", "75.00%", "827", "–", "0", "interrupted"]
        assert rows[1] == ["b/seed-0", "Small", "digits", "2/2", "90.00%", "87.65%", "1,234", "75", "7", "finished"]
        assert len(rows) == 5
        assert done.stderr.splitlines()[-1] == f"{parent / 'd'}: spec.net is missing"

    def test_sorted(self, parent: Path) -> None:
        found = json.loads(command(parent, "--sort", "last", "--json").stdout)
        assert [run["accuracy"] for run in found] == [0.95, 0.9, 0.7654, 0.75, 0.75]
        assert list(found[0]) == [
            "path", "network", "data", "epochs", "planned", "accuracy", "best_accuracy", "parameters", "seconds",
            "seed", "state", "problem",
        ]  # fmt: skip
        seconds = [run["seconds"] for run in json.loads(command(parent, "--sort", "seconds", "--json").stdout)]
        assert seconds == [75.4, 75.4, 75.4, None, None]

    def test_nothing(self, tmp_path: Path) -> None:
        done = command(tmp_path)
        assert (done.exit_code, done.stdout, done.stderr) == (0, "", f"no runs in '{tmp_path}'\n")
        assert command(tmp_path, "--json").stdout == "[]\n"
        missing = command(tmp_path / "nowhere")
        assert missing.exit_code == 1
        check_words(missing.stderr)

    def test_markup_is_text(self, tmp_path: Path) -> None:
        finished(tmp_path / "[red]x", network="[/]")
        assert command(tmp_path).stdout.count("[red]x") == 1
