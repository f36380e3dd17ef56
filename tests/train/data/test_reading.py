"""``--readers`` and ``--in-memory``: they reach what reads, change nothing that comes out, and are noted nowhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

from sewdsl.cli.app import app
from sewdsl.train.data.batches import Batches
from sewdsl.train.data.dataset import IN_MEMORY_BYTES, DataOptions, Reading, Samples
from sewdsl.train.data.event_datasets import FrameFolder
from sewdsl.train.data.recorded_dataset import Recordings
from sewdsl.train.store.measurements import COUNTED_SAMPLES
from sewdsl.train.store.result import Result as RunResult
from sewdsl.train.store.run_folder import RunFolder
from tests.train.data import trees

SPEC = """\
sewdsl 1
network "Events"
input   2x34x34
steps   3
body    c4k3s4-BN-PLIF-SEW Block-FC10

train on nmnist {
    batch 8
    epochs 2
    optimizer Adam(lr=0.01)
    shift 1
    flip on
    subset on
}
"""
FRAMES = 3 * 2 * 34 * 34
"""Bytes of a recording."""
TRAIN, TEST = 50, 20


class Place(NamedTuple):
    spec: Path
    data: Path
    run: Path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Recordings, a network, and a run of it that was told nothing of how to read."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "events.net").write_text(SPEC, encoding="utf-8")
    trees.nmnist(folder / "sets", {"Train": TRAIN // 10, "Test": TEST // 10})
    found = Place(folder / "events.net", folder / "sets", folder / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEWDSL_CACHE", str(folder / "cache"))
        done = run("train", found.spec, "--data", found.data, "--out", found.run)
        assert done.exit_code == 0, done.output
        yield found


class Reads:
    """Record of the files that were read, and of the memory that remains in use."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.threads: set[str] = set()
        self.kept: set[tuple[int, int]] = set()
        batch = Recordings.batch

        def note(samples: Recordings, *arguments: object) -> Samples:
            found = batch(samples, *arguments)  # type: ignore[arg-type]
            self.threads.add(threading.current_thread().name.rpartition("_")[0])
            self.kept.add((samples.in_memory, len(samples._cache) and len(samples.recordings)))
            return found

        patch.setattr(Recordings, "batch", note)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


def figures(result: Path) -> dict[str, object]:
    return RunResult.model_validate_json(result.read_text("utf-8")).model_dump(exclude={"seconds"})


@pytest.mark.parametrize(
    ("options", "thread", "limit", "kept"),
    [
        (["--readers", "0"], "", IN_MEMORY_BYTES, {TRAIN, TEST, COUNTED_SAMPLES}),
        (["--readers", "3", "--in-memory", "0"], "read-ahead", 0, {0}),
        (
            ["--readers", "1", "--in-memory", f"{FRAMES * TEST / 1000}kB"],
            "read-ahead",
            FRAMES * TEST,
            {0, TEST, COUNTED_SAMPLES},
        ),
    ],
)
def test_a_run_is_the_same(
    options: list[str], thread: str, limit: int, kept: set[int], place: Place, reads: Reads, tmp_path: Path
) -> None:
    done = run("train", place.spec, "--data", place.data, "--out", tmp_path / "run", *options)
    assert done.exit_code == 0, done.output
    found, plain = RunFolder(tmp_path / "run"), RunFolder(place.run)
    one, other = (load_file(each.last) for each in (found, plain))
    assert all(torch.equal(one[name], values) for name, values in other.items())
    assert figures(found.result) == figures(plain.result)
    assert {path.name for path in found.path.iterdir()} == {path.name for path in plain.path.iterdir()}
    assert [found.recipe.read_bytes(), found.spec.read_bytes()] == [plain.recipe.read_bytes(), plain.spec.read_bytes()]
    assert reads.threads == {thread}
    assert reads.kept == {(limit, count) for count in kept}


def test_eval_and_going_on(place: Place, reads: Reads) -> None:
    for command in (["eval", place.run], ["train", "--resume", place.run, "--set", "train.epochs=3"]):
        reads.threads.clear()
        reads.kept.clear()
        done = run(*command, "--readers", "0", "--in-memory", "0")
        assert done.exit_code == 0, done.output
        assert (reads.threads, reads.kept) == ({""}, {(0, 0)})


def test_study(place: Place, reads: Reads, tmp_path: Path) -> None:
    spec = tmp_path / "study.net"
    spec.write_text(SPEC.replace("epochs 2", "epochs 1") + "study { vary join ADD AND }\n", encoding="utf-8")
    done = run("study", spec, "--data", place.data, "--out", tmp_path / "out", "--readers", 0, "--in-memory", "1MB")
    assert done.exit_code == 0, done.output
    assert reads.threads == {""}
    assert {limit for limit, _ in reads.kept} == {10**6}


def test_probe(place: Place, reads: Reads) -> None:
    printed = set()
    for options, threads in ([[], {"read-ahead"}], [["--readers", "0"], {""}]):
        reads.threads.clear()
        done = run("probe", "rates", place.run, "--data", place.data, "--json", *options)
        assert done.exit_code == 0, done.output
        assert reads.threads == threads
        printed.add(done.stdout)
    assert len(printed) == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["train", "mnist5k", "--in-memory", "big"], "--in-memory must be 0 or a size, e.g. 4GB, 1.5GB, 800MB or"),
        (["eval", "RUN", "--in-memory", "-1GB"], "--in-memory must be 0 or a size, e.g. 4GB, 1.5GB, 800MB or"),
        (["train", "mnist5k", "--readers", "-1"], "--readers must be an integer from 0 to 256, got '-1'"),
        (
            ["study", "figure-6", "--readers", "2"],
            "--readers is not supported for probe studies, which use random input",
        ),
        (
            ["study", "figure-6", "--in-memory", "2GB"],
            "--in-memory is not supported for probe studies, which use random input",
        ),
        (["probe", "rates", "7b-net", "--readers", "2"], "--readers requires samples of a dataset"),
        (["probe", "rates", "RUN", "--on", "noise", "--readers", "2"], "--readers requires samples of a dataset"),
    ],
)
def test_what_is_refused(command: list[str], said: str, place: Place) -> None:
    done = run(*(place.run if word == "RUN" else word for word in command))
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())


def test_what_stays_in_memory_is_counted_as_it_is(tmp_path: Path) -> None:
    """Frames of one's own are of any dtype."""
    frames = np.full((3, 1, 4, 4), 0.5, np.float32)
    for number in range(4):
        path = tmp_path / ("train" if number < 2 else "test") / str(number % 2) / "a.npy"
        path.parent.mkdir(parents=True)
        np.save(path, frames)
    for limit, kept in ((0, 0), (2 * frames.nbytes - 1, 0), (2 * frames.nbytes, 2)):
        data = FrameFolder(DataOptions(tmp_path, 3, (1, 4, 4), classes=2))
        data.read_by(Reading(in_memory=limit))
        train = data.load().train
        assert isinstance(train, Recordings)
        list(Batches(train, 1))
        assert len(train._cache) == kept
