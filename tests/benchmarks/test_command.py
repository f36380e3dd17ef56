"""The command from end to end, on the cheapest case: processes, agreement, times, JSON, tables."""

import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from benchmarks import process, table, worker
from benchmarks.__main__ import main
from benchmarks.case import compare
from benchmarks.contenders import CONTENDERS
from benchmarks.job import Job
from benchmarks.plan import QUICK
from benchmarks.results import Results, read
from benchmarks.rounds import run_comparison
from benchmarks.settings import KEEPING, OWN
from benchmarks.workload import Workload
from tests.effort import factor

pytest.importorskip("spikingjelly")
pytest.importorskip("snntorch")

NAMES = ["sewdsl", "SpikingJelly", "snnTorch", "moving its bytes"]


class Here:
    """Stands in for ``subprocess``: does the jobs in this process; a deep run times sewdsl in one of its own.

    To start one takes seconds, most of which torch and the contenders take to be imported.
    """

    def __init__(self) -> None:
        self.started: list[Job] = []

    def run(self, command: list[str], *, check: bool, **options: Any) -> CompletedProcess[str]:
        job = Job.model_validate_json(options["input"])
        if (job.task, job.contenders) == ("time", ("sewdsl",)):
            self.started.append(job)
            if factor() > 1:
                return subprocess.run(command, check=check, **options)
        out = StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", StringIO(options["input"]))
            patch.setattr(sys, "stdout", out)
            try:
                worker.main()
            except SystemExit as error:
                return CompletedProcess(command, 1, "", f"{error}\n")
        return CompletedProcess(command, 0, out.getvalue(), "")


@pytest.fixture(scope="module", autouse=True)
def here() -> Iterator[Here]:
    stand_in = Here()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "subprocess", stand_in)
        yield stand_in


@pytest.fixture(scope="module")
def file(here: Here, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("benchmarks") / "some" / "results.json"
    assert main(["lif-layer", "--quick", "--threads", "1", "--out", str(out)]) == 0
    assert [job.plan for job in here.started] == [QUICK]
    return out


@pytest.fixture(scope="module")
def results(file: Path) -> Results:
    return read(file)


def test_it_says_what_it_was_measured_on(results: Results) -> None:
    assert results.machine["threads"] == "1"
    assert int(results.machine["cores"]) >= 1
    assert float(results.machine["load"]) >= 0
    assert results.versions["snntorch"] == "1.0.0"
    assert results.versions["spikingjelly"].startswith("2.0.")
    assert results.settings["as it comes"] == {}
    assert results.settings[KEEPING.name] == dict(KEEPING.environment)
    assert results.plan.rounds == 1
    assert all(name.startswith("OpenVINO") for name in results.absent)  # which the tests do not ask for


def test_it_holds_every_sample(results: Results) -> None:
    (case,) = results.cases
    (row,) = case.rows
    assert row.error is None
    assert [entry.name for entry in row.entries] == NAMES
    assert {entry.setting for entry in row.entries} == {OWN.name}
    for entry in row.entries:
        (sample,) = entry.samples
        assert len(sample.times) == QUICK.least
        assert 0 < min(sample.times) <= sample.seconds <= max(sample.times) < 10
        assert sample.peak >= sample.held > 10**7


def test_contenders_agreed_before(results: Results) -> None:
    agreement = results.cases[0].rows[0].agreement
    assert list(agreement) == ["SpikingJelly", "snnTorch"]
    for found in agreement.values():
        assert found.exact is not None
        assert found.exact < 1e-9
        assert found.gradients is not None
        assert found.gradients < 1e-6
        assert found.timed < 1e-2


def test_its_table(file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["table", str(file)])
    table.main()
    printed = capsys.readouterr().out
    assert "## A layer of LIF neurons" in printed
    lines = [line for line in printed.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(NAMES)
    assert all(name in line for name, line in zip(NAMES, lines[2:], strict=True))
    assert lines[3].count("x |") == 4
    assert "`MALLOC_MMAP_MAX_=0`" in printed


def test_what_a_process_refuses_to_compare_is_not_timed() -> None:
    said: list[str] = []
    single = Workload("lif-layer", (1, 2, 2), 2, 1)
    row = run_comparison(compare(single, CONTENDERS[:1]), QUICK, said.append)
    assert row.error == "the output is equal for all samples, so a comparison is meaningless"
    assert said == [f"error: {row.error}"]
    assert row.entries == []


def test_an_unknown_case_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["lif-lair"])
    assert "unknown case 'lif-lair'; expected " in capsys.readouterr().err
