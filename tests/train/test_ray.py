"""``sewdsl study --on ray``: a real cluster of two nodes, one of which is lost while it trains."""

import importlib.util
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from sewdsl.cli.app import app
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.study import ray_pool
from sewdsl.train.study.ray_pool import pack_run, unpack_run
from tests.words import raises

from .conftest import SMALL
from .test_jobs import outcome, study

EPOCHS = 2
LIMIT = 300
"""Seconds that a cluster has for the test."""


def test_the_files_of_a_run_travel(tmp_path: Path) -> None:
    here, there = RunFolder(tmp_path / "here"), RunFolder(tmp_path / "there")
    here.last.parent.mkdir(parents=True)
    for path in (here.spec, here.state, here.result):
        path.write_text(path.name, "utf-8")
    (here.path / "notes.txt").write_text("stays", "utf-8")
    here.lock.write_text("1", "utf-8")
    unpack_run(pack_run(here), there)
    found = sorted(path.relative_to(there.path).as_posix() for path in there.path.rglob("*") if path.is_file())
    assert found == ["checkpoints/last.ckpt", "result.json", "spec.net"]
    assert there.state.read_text("utf-8") == "last.ckpt"


def test_what_is_no_run_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = RunFolder(tmp_path / "here")
    here.path.mkdir()
    (here.path / "notes.txt").write_text("no", "utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(ray_pool, "RUN_FILES", ("notes.txt",))
        packed = pack_run(here)
    with raises(RunError):
        unpack_run(packed, RunFolder(tmp_path / "there"))


def test_another_cluster(tmp_path: Path) -> None:
    spec = tmp_path / "small.net"
    spec.write_text(SMALL + "study {\n    vary join ADD IAND\n}\n", "utf-8")
    done = CliRunner().invoke(app, ["study", str(spec), "--on", "slurm"])
    assert done.exit_code == 2
    assert "--on must be ray or ray://HOST:PORT, got 'slurm'" in " ".join(done.stderr.split())


def test_without_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tmp_path / "small.net"
    spec.write_text(SMALL + "study {\n    vary join ADD IAND\n}\n", "utf-8")
    monkeypatch.setitem(sys.modules, "ray", None)
    code, said = study(spec, tmp_path / "out", "--on", "ray")
    assert code == 1
    assert (
        'error: --on ray requires ray, which is not installed; install it with:\n  pip install "ray[client]>=' in said
    )


def test_a_cluster_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no alarm")

    class Deaf(ModuleType):
        """Ray, whose head node never comes up."""

        job_config = SimpleNamespace(JobConfig=dict)

        def is_initialized(self) -> bool:
            return False

        def init(self, **_: object) -> None:
            while True:
                time.sleep(0.1)

    spec = tmp_path / "small.net"
    spec.write_text(SMALL + "study {\n    vary join ADD IAND\n}\n", "utf-8")
    monkeypatch.setitem(sys.modules, "ray", Deaf("ray"))
    monkeypatch.setattr(ray_pool, "START_PATIENCE", 1)
    before = signal.getsignal(signal.SIGALRM)
    code, said = study(spec, tmp_path / "out", "--on", "ray://nowhere:10001")
    assert code == 1
    assert "error: no response from the Ray cluster at ray://nowhere:10001 within 1 s" in said
    assert signal.getsignal(signal.SIGALRM) == before


def test_a_cluster_that_answers_is_not_waited_for() -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no alarm")
    with ray_pool._patient("ray"):
        pass
    assert signal.alarm(0) == 0  # nothing ends the study later


def test_a_cluster_that_is_gone() -> None:
    class Gone:
        """Ray, whose head node has died."""

        class exceptions:  # noqa: N801 -- Ray's name
            class RayError(Exception):
                pass

        @staticmethod
        def get(_mail: object) -> None:
            raise Gone.exceptions.RayError

    pool = object.__new__(ray_pool.RayPool)
    pool._ray, pool._mail = Gone, None
    with raises(RunError):
        pool._read_mail()


@pytest.fixture
def cluster() -> Iterator[tuple[Any, Any]]:
    """A cluster whose processes end with the test, and its second node, the only one with a core."""
    from ray.cluster_utils import Cluster  # noqa: PLC0415 -- it may not be there

    made: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    late = threading.Timer(LIMIT, made.shutdown)  # what waits for it then ends
    late.start()
    try:
        yield made, made.add_node(num_cpus=1)
    finally:
        late.cancel()
        made.shutdown()


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_a_node_is_lost(cluster: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node is lost after the first epoch of a run, when a node with two cores has joined."""
    nodes, second = cluster
    spec = tmp_path / "small.net"
    text = SMALL.replace("epochs 2", f"epochs {EPOCHS}")
    spec.write_text(text + "study {\n    vary join ADD IAND\n}\n", "utf-8")
    sent: list[RunFolder] = []
    unpack = ray_pool.unpack_run

    def unpack_and_lose(data: bytes, folder: RunFolder) -> None:
        unpack(data, folder)
        if not sent:
            sent.append(folder)
            nodes.add_node(num_cpus=2)
            nodes.remove_node(second, allow_graceful=False)

    monkeypatch.setattr(ray_pool, "unpack_run", unpack_and_lose)
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)
    code, said = study(spec, tmp_path / "out", "--on", "ray", "--save-every", "0")
    assert code == 0, said
    (lost,) = [line for line in said.splitlines() if "another worker resumes the run" in line]
    title = lost.partition(": ")[0]
    lines = [line for line in said.splitlines() if line.startswith(f"{title}: epoch ")]
    assert sum(f"epoch {EPOCHS}/{EPOCHS}" in line for line in lines) == 1
    assert sum(f"epoch 1/{EPOCHS}" in line for line in lines) == 1  # it did not begin again
    assert study(spec, tmp_path / "in-turn", "--threads", "1")[0] == 0
    assert outcome(tmp_path / "out") == outcome(tmp_path / "in-turn")
