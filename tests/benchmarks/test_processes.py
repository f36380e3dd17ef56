"""Processes of benchmarks: their arguments, their exit codes and their measured costs."""

import subprocess
import sys
from pathlib import Path

import pytest

import sewdsl
from benchmarks import memory, process
from benchmarks.__main__ import _devices
from benchmarks.case import Case, Comparison, Measurement, Scope
from benchmarks.cases import cases
from benchmarks.contenders import CONTENDERS, contender
from benchmarks.job import Job
from benchmarks.machine import ROOT
from benchmarks.nodes import LIMITS, text
from benchmarks.plan import QUICK, Plan
from benchmarks.results import Agreement, Sample
from benchmarks.rounds import run_case, run_comparison
from benchmarks.settings import AS_IT_COMES, KEEPING, SETTINGS

MEGABYTE = 10**6


def test_the_environment_is_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MALLOC_MMAP_MAX_", "LD_PRELOAD", "OMP_WAIT_POLICY", "SEWDSL_KERNELS"):
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("OTHER", "kept")
    plain, keeping = (process.environment(setting, Plan(threads=3)) for setting in (AS_IT_COMES, KEEPING))
    assert plain["OMP_NUM_THREADS"] == plain["MKL_NUM_THREADS"] == "3"
    assert plain["OTHER"] == "kept"
    assert not {"MALLOC_MMAP_MAX_", "LD_PRELOAD", "OMP_WAIT_POLICY", "SEWDSL_KERNELS"} & plain.keys()
    assert {**plain, **KEEPING.environment} == keeping


def test_peak_memory_forgets_what_was_before() -> None:
    before = bytearray(200 * MEGABYTE)
    del before
    held = memory.settle()
    assert memory.peak() - held < 20 * MEGABYTE
    now = bytearray(60 * MEGABYTE)
    del now
    assert 50 * MEGABYTE < memory.peak() - held < 80 * MEGABYTE


def test_a_command_is_timed_as_a_whole() -> None:
    sample = process.command(["timeit", "-n", "1", "-r", "1", "import time; time.sleep(0.3)"], AS_IT_COMES, QUICK)
    assert 0.3 < sample.seconds < 10
    assert sample.peak > MEGABYTE


def test_a_failure_says_why(tmp_path: Path) -> None:
    with pytest.raises(process.FailedError, match="SewdslError"):
        process.work(Job(task="load", plan=QUICK, file=tmp_path / "missing.net"))
    with pytest.raises(process.FailedError, match="No module named nothing"):
        process.command(["nothing"], AS_IT_COMES, QUICK)


def taking(name: str, taken: list[str], *, fails: int = 99) -> Measurement:
    def take(_folder: Path, _plan: Plan) -> Sample:
        taken.append(name)
        if taken.count(name) > fails:
            message = "out of memory"
            raise process.FailedError(message)
        return Sample(times=[1.0])

    return Measurement(name, SETTINGS[0], take)


def test_measurements_take_turns() -> None:
    taken: list[str] = []
    measurements = tuple(taking(name, taken) for name in "abc")
    row = run_comparison(Comparison("row", measurements, lambda *_: {}), Plan(rounds=4), lambda _: None)
    assert taken == [*"abc", *"bca", *"cab", *"abc"]
    assert [len(entry.samples) for entry in row.entries] == [4, 4, 4]


def test_one_that_fails_is_not_asked_again() -> None:
    taken: list[str] = []
    measurements = taking("a", taken, fails=1), taking("b", taken)
    row = run_comparison(Comparison("row", measurements, lambda *_: {}), Plan(rounds=3), lambda _: None)
    assert (len(row.entries[0].samples), row.entries[0].error) == (1, "out of memory")
    assert (len(row.entries[1].samples), row.entries[1].error) == (3, None)


def test_what_does_not_agree_is_not_timed() -> None:
    def differ(_folder: Path, _plan: Plan) -> dict[str, Agreement]:
        message = "b differs"
        raise process.FailedError(message)

    taken: list[str] = []
    row = run_comparison(Comparison("row", (taking("a", taken),), differ), Plan(), lambda _: None)
    assert (row.error, row.entries, taken) == ("b differs", [], [])


@pytest.mark.parametrize("cuda", [False, True])
@pytest.mark.parametrize("quick", [False, True])
def test_cases_are_found_and_their_rows_told_apart(*, quick: bool, cuda: bool) -> None:
    scope = Scope(quick, CONTENDERS, ("cpu", "cuda")[: 1 + cuda])
    assert {"7b-net", "front-end", "growth-depth", "growth-steps", "lif-layer", "sew-resnet-18"} < set(cases())
    for name, case in cases().items():
        rows = case.comparisons(scope)
        assert rows, name
        assert len({row.name for row in rows}) == len(rows)
        assert all((row.size is not None) == (case.unit is not None) for row in rows)


@pytest.mark.parametrize(("asked", "gpu", "expected"), [
    ("auto", False, ("cpu",)), ("auto", True, ("cpu", "cuda")), ("cpu", True, ("cpu",)), ("cuda", True, ("cuda",)),
])  # fmt: skip
def test_devices(*, asked: str, gpu: bool, expected: tuple[str, ...]) -> None:
    assert _devices(asked, gpu=gpu) == expected


def test_a_gpu_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _devices("cuda", gpu=False)
    assert "--device cuda requires a GPU that PyTorch can use" in capsys.readouterr().err


def test_only_some_rows() -> None:
    taken: list[str] = []
    rows = [Comparison(name, (taking(name, taken),), lambda *_: {}) for name in ("train step, fp32", "inference, fp32")]
    case = Case("case", "Case", lambda _: rows)
    found = run_case(case, Scope(quick=True, contenders=()), QUICK, lambda _: None, only="train")
    assert [row.name for row in found.rows] == ["train step, fp32"]
    assert taken == ["train step, fp32"]


@pytest.mark.parametrize("name", ["7b-net", "sew-resnet-18"])
def test_level_2_is_among_the_contenders(name: str) -> None:
    for row in cases()[name].comparisons(Scope(quick=False, contenders=CONTENDERS)):
        assert ("sewdsl, optimize 2" in {m.name for m in row.measurements}) == (
            "train step" in row.name or "fp32" in row.name or name == "sew-resnet-18"
        )
    assert contender("sewdsl, optimize 2").options == {"optimize": 2}


@pytest.mark.parametrize("repeated", [False, True])
def test_texts_have_the_nodes_that_they_say(tmp_path: Path, *, repeated: bool) -> None:
    path = tmp_path / "net.net"
    path.write_text(text(100, repeated=repeated), encoding="utf-8")
    assert len(sewdsl.load(path, limit=LIMITS)) - 1 == 100
    with pytest.raises(ValueError, match="99 nodes"):
        text(99, repeated=repeated)


def test_the_process_that_writes_results_needs_no_torch() -> None:
    program = "import sys, benchmarks.__main__ as m; m.cases(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
