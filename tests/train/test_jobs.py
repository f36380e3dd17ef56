"""``sewdsl study --jobs``: several runs at once give what one after another gives, and stop and die one by one."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from typer.testing import CliRunner

from sewdsl.cli.app import app
from sewdsl.train.store.measurements import read_metrics
from sewdsl.train.store.run_folder import RunError, RunFolder, run_lock
from sewdsl.train.study import pool as study_pool
from sewdsl.train.study import repeats, worker
from sewdsl.train.study.worker import Job, RunMessage, WorkerProcess
from tests.forked import PIPES, Popen
from tests.plugin_files import COUNTING, NEURON, left_out, written
from tests.systems import NEEDS_SIGNALS

from .conftest import SMALL

LIGHT = SMALL.replace("{SEW Block-MPk2s2}*2", "SEW Block-MPk4s4")
STUDY = LIGHT.replace("PLIF", "FIF") + "\nstudy {\n    vary join ADD IAND\n}\n"


@pytest.fixture(scope="module", autouse=True)
def _forked_runs() -> Iterator[None]:
    """Fork the processes of runs that this process starts; :func:`test_a_kill_stops_all` starts a fresh one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "subprocess", SimpleNamespace(Popen=Popen, PIPE=subprocess.PIPE))
        yield


def outcome(folder: Path) -> dict[str, object]:
    """Return the results without durations."""
    found: dict[str, object] = json.loads((folder / "study.json").read_text("utf-8"))
    rows = found["rows"]
    assert isinstance(rows, list)
    for row in rows:
        row["seconds"] = 0
    return found


def study(spec: Path, out: Path, *options: str) -> tuple[int, str]:
    """The exit code, and what was printed."""
    done = CliRunner().invoke(app, ["study", str(spec), "--out", str(out), "--device", "cpu", *options])
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a neuron that a plugin file next to it defines."""
    path = tmp_path_factory.mktemp("jobs") / "small.net"
    written(path.parent / "kinds.py", NEURON + COUNTING)
    return written(path, STUDY)


@pytest.fixture(scope="module")
def in_turn(spec: Path) -> Path:
    """The study, one run after another."""
    out = spec.parent / "in-turn"
    assert with_own_code(spec, out)[0] == 0
    return out


def with_own_code(spec: Path, out: Path, *options: str) -> tuple[int, str]:
    """The study with the plugin file and a logger."""
    with left_out():
        return study(
            spec, out, "--plugin", str(spec.parent / "kinds.py"), "--threads", "1", "--logger", "none", *options
        )


class Dying(WorkerProcess):
    """The process of one run is killed after its first epoch."""

    def __init__(self, job: Job, show: object, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(job, show, environment)  # type: ignore[arg-type]
        self._dies = Path(job.folder).as_posix().endswith("join=ADD/seed-0")

    def answer(self, *, proceed: bool) -> None:
        if self._dies:
            self.kill()
        super().answer(proceed=proceed)


class Ended(NamedTuple):
    """A call of the study: its exit code, what it said, and what came out."""

    code: int
    said: str
    outcome: dict[str, object]


@pytest.fixture(scope="module")
def out(spec: Path) -> Path:
    """The folder of the study by several."""
    return spec.parent / "several"


@pytest.fixture(scope="module")
def broken(spec: Path, out: Path) -> Ended:
    """Two at once, of which one dies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_pool, "WorkerProcess", Dying)
        code, said = with_own_code(spec, out, "--jobs", "2")
    return Ended(code, said, outcome(out))


@pytest.fixture(scope="module")
def gone_on(spec: Path, out: Path, broken: Ended) -> Ended:
    """Run the same command again."""
    assert broken.code == 1, broken.said
    code, said = with_own_code(spec, out, "--jobs", "2")
    return Ended(code, said, outcome(out))


@NEEDS_SIGNALS
def test_one_that_dies_is_said_and_goes_on(broken: Ended, gone_on: Ended) -> None:
    assert broken.code == 1
    assert (
        "error: join ADD, seed 0: the process was killed by SIGKILL; run the same command again to resume"
        in broken.said
    )
    assert "\n1 of 2 runs in " in broken.said
    assert "\n2 runs in " in gone_on.said
    for line in ("join ADD, seed 0: epoch 1/2", "join IAND, seed 0: epoch 2/2"):
        assert line in broken.said
    rows = broken.outcome["rows"]
    assert isinstance(rows, list)
    assert [row["seeds"] for row in rows] == [[], [0]]
    assert gone_on.code == 0, gone_on.said
    assert "join ADD, seed 0: epoch 2/2" in gone_on.said
    assert "epoch 1/2" not in gone_on.said


def test_the_same_to_the_bit(in_turn: Path, out: Path, gone_on: Ended) -> None:
    """Both the run that went on and the one beside it."""
    assert gone_on.outcome == outcome(in_turn)
    runs = [path.parent.relative_to(in_turn) for path in in_turn.glob("*/*/result.json")]
    assert len(runs) == 2
    for run in runs:
        for name in ("spec.net", "recipe.json", "metrics.csv"):
            ours, theirs = ((folder / run / name).read_text("utf-8") for folder in (out, in_turn))
            assert ours == theirs, name


@pytest.mark.usefixtures("gone_on")
def test_code_of_ones_own_and_loggers(out: Path) -> None:
    """A run in a process of its own knows the kinds and callbacks of plugin files, and logs where it is said."""
    for join in ("ADD", "IAND"):
        run = out / f"join={join}" / "seed-0"
        assert "epochs_counted" in (run / "metrics.csv").read_text("utf-8")
        assert not (run / "tensorboard").exists()
        assert [*(run / "plugins").iterdir()]


def free(folder: RunFolder) -> bool:
    """Return whether no process uses the folder."""
    try:
        with run_lock(folder):
            return True
    except RunError:
        return False


def long_study(place: Path) -> tuple[list[str], list[RunFolder]]:
    """A study that somebody has to stop: the arguments of the command, and its two runs."""
    spec = written(place / "long.net", STUDY.replace("epochs 2", "epochs 10000").replace("FIF", "PLIF"))
    command = ["study", str(spec), "--out", str(place / "out"), "--jobs", "2", "--threads", "1", "--device", "cpu"]
    return command, [RunFolder(place / "out" / f"join={join}" / "seed-0") for join in ("ADD", "IAND")]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "only"), [(signal.SIGINT, ("--only", "ADD")), (signal.SIGTERM, ())])
def test_signals_stop_all(tmp_path: Path, number: signal.Signals, only: tuple[str, ...]) -> None:
    command, runs = long_study(tmp_path)
    runs = runs[:1] if only else runs

    def send() -> None:
        wait_for(lambda: all(run.metrics.exists() for run in runs))
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    done = CliRunner().invoke(app, [*command, *only])
    sender.join()
    assert done.exit_code == 128 + number
    assert all(free(run) and run.state.exists() and not run.result.exists() for run in runs)
    assert done.stderr.splitlines()[-2:] == ["run the same command again to resume", f"stopped by {number.name}"]
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_kill_stops_all(tmp_path: Path) -> None:
    """The process of a run, a fresh one, stops when the process that started it is gone."""
    command, (run, _) = long_study(tmp_path)
    program = [sys.executable, "-c", "from sewdsl.__main__ import main; main()", *command, "--only", "ADD"]
    with Popen(program, **PIPES) as started:
        try:
            wait_for(run.metrics.exists)
        finally:
            started.kill()
    wait_for(lambda: free(run))
    assert run.state.exists()
    assert not run.result.exists()


def wait_for(true: object) -> None:
    """Wait up to three minutes for a condition, because the machine may be busy."""
    assert callable(true)
    end = time.monotonic() + 180
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_search_by_several(tmp_path: Path) -> None:
    spec = tmp_path / "small.net"
    lines = "study {\n    vary train.optimizer.lr log 1e-5 0.1\n    search TPE(trials=2, prune=median)\n}\n"
    spec.write_text(LIGHT.replace("epochs 2", "epochs 1") + lines, "utf-8")
    code, said = study(spec, tmp_path / "out", "--jobs", "2")
    assert code == 0, said
    search = outcome(tmp_path / "out")["search"]
    assert isinstance(search, dict)
    assert [trial["state"] for trial in search["history"]] == ["ended"] * 2
    again, _ = study(spec, tmp_path / "out", "--jobs", "2")
    assert again == 0
    assert outcome(tmp_path / "out")["search"] == search


def test_a_run_that_cannot_start_stops_the_others(spec: Path, tmp_path: Path) -> None:
    (tmp_path / "join=IAND" / "seed-0").mkdir(parents=True)
    with run_lock(RunFolder(tmp_path / "join=IAND" / "seed-0")):
        code, said = with_own_code(spec, tmp_path, "--jobs", "2")
    assert code == 1
    assert "error: join IAND, seed 0: '" in said
    assert f"is in use by process {os.getpid()}" in said
    assert all(map(free, map(RunFolder, tmp_path.glob("*/seed-0"))))


def test_each_has_a_gpu_of_its_own() -> None:
    like = Job(text="", folder="", data=None, device="cuda", save_every=5.0, readers=None, in_memory=0, threads=1)
    pool = study_pool.ProcessPool(3, like, ("4", "7"))
    assert [slot.environment for slot in pool._slots] == [{"CUDA_VISIBLE_DEVICES": name} for name in ("4", "7", "4")]


def test_a_probe_takes_none(tmp_path: Path) -> None:
    spec = tmp_path / "small.net"
    spec.write_text(SMALL + "study {\n    probe rates\n    vary join ADD IAND\n}\n", "utf-8")
    for options in (["--jobs", "2"], ["--threads", "1"], ["--on", "ray"]):
        code, said = study(spec, tmp_path / "out", *options)
        assert code == 2
        assert f"{options[0]} is not supported for probe studies, which train no network" in " ".join(said.split())


def test_a_run_uses_the_threads_of_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", counts.append)
    monkeypatch.setattr(repeats, "finish_run", lambda *_: None)
    job = Job(text="", folder="", data=None, device="cpu", save_every=5.0, readers=None, in_memory=0, threads=3)
    unused: Any = None
    worker.train_in_process(job, unused, unused, unused, None)
    assert counts == [3]


def test_a_run_without_classes_sends_its_losses(tmp_path: Path) -> None:
    """A loss may exceed 1, the largest accuracy."""
    recipe = "train on digits {\n epochs 2\n batch 800\n optimizer Adam(lr=0.01)\n loss MSE(to=input)\n}\n"
    text = f"sewdsl 1\ninput 1x8x8\nsteps 1\nbody c2k3-ReLU-c1k3-SCALE(value=30)\n{recipe}"
    messages: list[RunMessage] = []

    def watch(epochs: Mapping[int, float]) -> bool:
        messages.append(
            RunMessage.model_validate_json(RunMessage(kind="epochs", epochs=dict(epochs)).model_dump_json())
        )
        return True

    fields = {"text": text, "folder": str(tmp_path), "data": None, "device": "cpu", "save_every": 30.0, "readers": None}
    job = Job.model_validate({**fields, "in_memory": 0, "threads": torch.get_num_threads()})
    assert worker.train(job, watch).kind == "ended"
    losses = {epoch: row["test_loss"] for epoch, row in read_metrics(RunFolder(tmp_path).metrics).items()}
    assert messages[-1].epochs == pytest.approx(losses)
    assert all(loss > 1 for loss in losses.values())
