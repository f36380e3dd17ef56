"""Engines that run an exported model stand in the rows of inference, and are timed only where they agree."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.case import Scope, compare
from benchmarks.cases import cases
from benchmarks.contenders import ENGINES, SEWDSL, Contender, contender, engines, exported
from benchmarks.job import Job, MismatchError
from benchmarks.plan import QUICK
from benchmarks.results import CaseResult, Results, Sample
from benchmarks.rounds import run_comparison
from benchmarks.settings import KEEPING, OWN
from benchmarks.table import table
from benchmarks.tasks import time
from benchmarks.tasks.agree import agree
from benchmarks.workload import Workload

SMALL = Workload("blocks-1", (2, 8, 8), 5, 3, train=False)
IMAGE = Workload("sew-resnet-18", (3, 32, 32), 2, 2, train=False, static=True)
INSTALLED = [engine for engine in ENGINES if engine.installed]


def test_all_that_infers_in_float32_on_the_processor_has_them() -> None:
    rows = [
        row
        for case in cases().values()
        for row in case.comparisons(Scope(quick=False, contenders=(SEWDSL,), devices=("cpu", "cuda")))
    ]
    names = {engine.name for engine in ENGINES}
    found = [row.name for row in rows if {m.name for m in row.measurements} | {*row.absent} >= names]
    assert found == [row.name for row in rows if "inference, fp32" in row.name and "cuda" not in row.name]
    assert len(found) == 5
    assert engines(SMALL) == ENGINES
    assert [one.name for one in ENGINES] == ["onnxruntime", "onnxruntime, unrolled", "OpenVINO", "OpenVINO, unrolled"]


@pytest.mark.parametrize("workload", [SMALL, pytest.param(IMAGE, marks=pytest.mark.deep)], ids=str)
@pytest.mark.parametrize("engine", INSTALLED, ids=lambda engine: engine.name)
def test_they_agree(workload: Workload, engine: Contender, tmp_path: Path) -> None:
    """With weights that others have given, and batch norms that have seen a batch; no spike of so few flips."""
    found = agree(workload, [SEWDSL, engine], tmp_path / "weights.pt")[engine.name]
    assert (found.exact, found.gradients) == (None, None)
    assert found.timed < 1e-4


@pytest.mark.parametrize("value", [0.0, torch.nan])
def test_what_differs_is_not_timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: float) -> None:
    def wrong(_: Path) -> exported.Run:
        return lambda x: torch.full((x.shape[-4], SMALL.classes), value)

    monkeypatch.setitem(exported.ENGINES, "onnxruntime", wrong)
    with pytest.raises(
        MismatchError, match=r"onnxruntime differs in outputs in fp32 by (1.0e\+00|nan), expected at most 5e-01"
    ):
        agree(SMALL, [SEWDSL, contender("onnxruntime")], tmp_path / "weights.pt")


@pytest.mark.parametrize("engine", INSTALLED, ids=lambda engine: engine.name)
def test_they_are_timed_with_the_agreed_weights_and_as_many_threads(
    engine: Contender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agree(SMALL, [SEWDSL], tmp_path / "weights.pt")
    made, shown = [], []
    make = exported.ENGINES[engine.package]

    def noted(file: Path) -> exported.Run:
        made.append((file.read_bytes(), torch.get_num_threads()))
        run = make(file)

        def show(x: Tensor) -> Tensor:
            shown.append(run(x))
            return shown[-1]

        return show

    monkeypatch.setitem(exported.ENGINES, engine.package, noted)
    threads = torch.get_num_threads()
    job = Job(task="time", plan=QUICK, workload=SMALL, contenders=(engine.name,), file=tmp_path / "weights.pt")
    sample = time.run(job)
    torch.set_num_threads(threads)
    assert [told for _, told in made] == [QUICK.threads]
    assert len(shown) == QUICK.warm_up + QUICK.least
    assert len(sample.times) == QUICK.least
    assert all(torch.equal(logits, shown[0]) for logits in shown)
    assert shown[0].std() > 0


def test_a_missing_engine_is_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "benchmarks.contenders.find_spec", lambda package: None if package in {"onnx", "openvino"} else 1
    )
    monkeypatch.setattr(
        "benchmarks.case.work", lambda job, *_, **__: {} if job.task == "agree" else Sample(times=[0.5])
    )
    row = run_comparison(compare(SMALL, [SEWDSL], settings=(OWN,)), QUICK, lambda _: None)
    assert row.error is None
    assert row.absent == [engine.name for engine in ENGINES]
    common = {"started": "2026-01-02T03:04:05", "own": OWN.name, "plan": QUICK, "settings": {OWN.name: {}}}
    case = CaseResult(name="case", title="A case", rows=[row])
    assert case.errors == []
    printed = table(Results.model_validate({"machine": {}, "versions": {}, "cases": [case], **common})).splitlines()
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in printed if line.startswith("| ")]
    assert lines[2][1:4] == ["sewdsl", KEEPING.name, "500 ms"]
    assert lines[3:] == [["", engine.name, "–", "–"] for engine in ENGINES]
