"""``sewdsl study --jobs``: several runs at once give what one after another gives, and stop and die one by one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sewdsl.cli.app import app
from sewdsl.train.store.run_folder import RunError, RunFolder, run_lock
from sewdsl.train.study import process_pool
from sewdsl.train.study.child import Child
from sewdsl.train.study.worker import Job
from tests.plugin_files import COUNTING, NEURON, left_out, written

from .conftest import SMALL

STUDY = SMALL + "\nstudy {\n    vary join ADD IAND\n    vary seed 1 2\n}\n"
WEIGHTS = "checkpoints/last.ckpt"


def outcome(folder: Path) -> dict[str, object]:
    """What came out, without how long it took."""
    found: dict[str, object] = json.loads((folder / "study.json").read_text("utf-8"))
    rows = found["rows"]
    assert isinstance(rows, list)
    for row in rows:
        row["seconds"] = 0
    return found


def study(spec: Path, out: Path, *options: str) -> tuple[int, str]:
    """The exit code, and what was said on the standard error."""
    done = CliRunner().invoke(app, ["study", str(spec), "--out", str(out), "--device", "cpu", *options])
    return done.exit_code, done.stderr


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("jobs") / "small.net"
    path.write_text(STUDY, "utf-8")
    return path


@pytest.fixture(scope="module")
def in_turn(spec: Path) -> Path:
    """The study, one run after another."""
    out = spec.parent / "in-turn"
    assert study(spec, out, "--threads", "1")[0] == 0
    return out


def test_the_same_to_the_bit(spec: Path, in_turn: Path, tmp_path: Path) -> None:
    code, said = study(spec, tmp_path, "--jobs", "2", "--threads", "1")
    assert code == 0, said
    assert outcome(tmp_path) == outcome(in_turn)
    runs = [path.parent.relative_to(in_turn) for path in in_turn.glob("*/*/result.json")]
    assert len(runs) == 4
    for run in runs:
        for name in ("metrics.csv", "spec.net", "recipe.json"):
            ours, theirs = ((folder / run / name).read_text("utf-8") for folder in (tmp_path, in_turn))
            if name == "metrics.csv":  # the last column is of wall-clock time
                ours, theirs = (text.replace("\r", "") for text in (ours, theirs))
            assert ours == theirs, name
    for line in ("join ADD, seed 1: epoch 1/2", "join IAND, seed 2: epoch 2/2"):
        assert line in said


def test_code_of_ones_own_and_loggers(tmp_path: Path) -> None:
    """A run in a process of its own knows the kinds and callbacks of plugin files, and logs where it is said."""
    plugin = written(tmp_path / "mine" / "kinds.py", NEURON + COUNTING)
    spec = written(tmp_path / "own.net", STUDY.replace("PLIF", "FIF").replace("    vary join ADD IAND\n", ""))
    with left_out():
        code, said = study(
            spec, tmp_path / "out", "--plugin", str(plugin), "--jobs", "2", "--threads", "1", "--logger", "csv"
        )
    assert code == 0, said
    for seed in (1, 2):
        (run,) = (tmp_path / "out").glob(f"**/seed-{seed}")
        assert "epochs_counted" in next(run.glob("csv/**/metrics.csv")).read_text("utf-8")
        assert not (run / "tensorboard").exists()
        assert [*(run / "plugins").iterdir()]


def test_one_that_dies_is_said_and_goes_on(
    spec: Path, in_turn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dying(Child):
        """The process of one run is killed after its first epoch."""

        def __init__(self, job: Job, show: object, environment: Mapping[str, str] | None = None) -> None:
            super().__init__(job, show, environment)  # type: ignore[arg-type]
            self._dies = job.folder.endswith("join=ADD/seed-1")

        def answer(self, *, go_on: bool) -> None:
            if self._dies:
                self.kill()
            super().answer(go_on=go_on)

    with monkeypatch.context() as patch:
        patch.setattr(process_pool, "Child", Dying)
        code, said = study(spec, tmp_path, "--jobs", "2", "--threads", "1")
    assert code == 1
    assert "error: join ADD, seed 1: its process was killed by SIGKILL; the same command goes on with it" in said
    rows = outcome(tmp_path)["rows"]
    assert isinstance(rows, list)
    assert [row["seeds"] for row in rows] == [[2], [1, 2]]
    code, said = study(spec, tmp_path, "--jobs", "2", "--threads", "1")
    assert code == 0, said
    assert "join ADD, seed 1: epoch 2/2" in said
    assert "epoch 1/2" not in said
    assert outcome(tmp_path) == outcome(in_turn)


def free(folder: RunFolder) -> bool:
    """Whether no process is at work there."""
    try:
        with run_lock(folder):
            return True
    except RunError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_signals_stop_all(tmp_path: Path, number: signal.Signals) -> None:
    spec = tmp_path / "long.net"
    spec.write_text(STUDY.replace("epochs 2", "epochs 10000").replace("    vary seed 1 2\n", ""), "utf-8")
    command = [sys.executable, "-m", "sewdsl", "study", str(spec), "--out", str(tmp_path / "out"), "--jobs", "2"]
    runs = [RunFolder(tmp_path / "out" / f"join={join}" / "seed-0") for join in ("ADD", "IAND")]
    with subprocess.Popen(
        [*command, "--threads", "1", "--device", "cpu"], stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as started:
        try:
            wait_for(lambda: all(run.metrics.exists() for run in runs))
            os.kill(started.pid, number)
            _, said = started.communicate(timeout=180)
        finally:
            started.kill()
    wait_for(lambda: all(map(free, runs)))
    assert all(run.last.exists() and not run.result.exists() for run in runs)
    if number != signal.SIGKILL:  # then nobody is left to say it, and the processes stop since nobody listens
        assert started.returncode == 128 + number
        assert said.splitlines()[-2:] == ["the same command goes on", f"stopped by {number.name}"]
        assert "Traceback" not in said


def wait_for(true: object) -> None:
    """Waits until it is so, for three minutes: the machine may have other work."""
    assert callable(true)
    end = time.monotonic() + 180
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_search_by_several(tmp_path: Path) -> None:
    spec = tmp_path / "small.net"
    lines = "study {\n    vary train.optimizer.lr log 1e-5 0.1\n    search TPE(trials=4, prune=median)\n}\n"
    spec.write_text(SMALL.replace("epochs 2", "epochs 1") + lines, "utf-8")
    code, said = study(spec, tmp_path / "out", "--jobs", "3")
    assert code == 0, said
    search = outcome(tmp_path / "out")["search"]
    assert isinstance(search, dict)
    assert [trial["state"] for trial in search["history"]] == ["ended"] * 4
    again, _ = study(spec, tmp_path / "out", "--jobs", "3")
    assert again == 0
    assert outcome(tmp_path / "out")["search"] == search


def test_a_run_that_cannot_start_stops_the_others(spec: Path, tmp_path: Path) -> None:
    (tmp_path / "join=IAND" / "seed-1").mkdir(parents=True)
    with run_lock(RunFolder(tmp_path / "join=IAND" / "seed-1")):
        code, said = study(spec, tmp_path, "--jobs", "2")
    assert code == 1
    assert "error: join IAND, seed 1: '" in said
    assert f"is in use by process {os.getpid()}" in said
    assert all(map(free, map(RunFolder, tmp_path.glob("*/seed-1"))))


def test_each_has_a_gpu_of_its_own() -> None:
    like = Job(text="", folder="", data=None, device="cuda", save_every=5.0, readers=None, in_memory=0, threads=1)
    pool = process_pool.ProcessPool(3, like, ("4", "7"))
    assert [slot.environment for slot in pool._slots] == [{"CUDA_VISIBLE_DEVICES": name} for name in ("4", "7", "4")]


def test_a_probe_takes_none(tmp_path: Path) -> None:
    spec = tmp_path / "small.net"
    spec.write_text(SMALL + "study {\n    probe rates\n    vary join ADD IAND\n}\n", "utf-8")
    for options in (["--jobs", "2"], ["--threads", "1"], ["--on", "ray"]):
        code, said = study(spec, tmp_path / "out", *options)
        assert code == 2
        assert f"it takes no {options[0]}" in " ".join(said.split())
