"""Run folders and studies of other versions: those of earlier ones are read, and those of later ones are rejected.

After a release that changed these files, add those of the new version to ``tests/golden``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from sewdsl.train.fit.load_run import load_trained
from sewdsl.train.fit.run_weights import read_weights
from sewdsl.train.fit.train_run import evaluate_run, resume_run
from sewdsl.train.records import parse_record
from sewdsl.train.store.measurements import read_metrics
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.store.run_record import load_record, summarize_run
from sewdsl.train.study.outcome import Outcome
from tests.words import raises

GOLDEN = Path(__file__).parents[1] / "golden"
RUNS = sorted(GOLDEN.glob("run-*"))
STUDIES = sorted(GOLDEN.glob("study-*.json"))
ROUNDING = 0.02
"""Share of the test samples that another processor may classify differently, because it rounds differently."""


@pytest.fixture(params=RUNS, ids=lambda path: path.name)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> RunFolder:
    """Copy the folder of a run."""
    return RunFolder(Path(shutil.copytree(request.param, tmp_path / "run")))


def test_each_file_is_read(folder: RunFolder) -> None:
    record = load_record(folder)
    assert record.wrong == {}
    assert record.energy_table is not None
    assert (summarize_run(folder).state, summarize_run(folder).problem) == ("finished", None)


def test_it_is_evaluated(folder: RunFolder) -> None:
    reported, again, _ = evaluate_run(folder)
    assert again.accuracy == pytest.approx(reported.accuracy, abs=ROUNDING)
    weights = read_weights(folder.last)
    model = load_trained(folder.path)
    assert {key: value.shape for key, value in model.state_dict().items()} == {
        key: value.shape for key, value in weights.items()
    }
    assert torch.equal(model.state_dict()["conv1.weight"], weights["conv1.weight"])


@pytest.mark.filterwarnings("ignore:The loaded checkpoint was produced with Lightning")  # a newer one
def test_it_is_resumed(folder: RunFolder) -> None:
    before = read_metrics(folder.metrics)
    result = resume_run(folder, changes={"train.epochs": "3"})
    after = read_metrics(folder.metrics)
    assert (len(before), result.epochs) == (2, 3)
    assert {epoch: after[epoch] for epoch in before} == before


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.name)
def test_a_search_is_read(path: Path) -> None:
    outcome = parse_record(path.read_bytes(), Outcome)
    assert outcome.search is not None
    assert [trial.state for trial in outcome.search.history] == ["ended", "ended"]


def test_a_state_of_a_later_version_is_rejected_with_its_version(folder: RunFolder) -> None:
    state = torch.load(folder.state, weights_only=True)
    state["run"].update(version="9.1", precision={"forward": "bf16", "backward": "fp8"})
    torch.save(state, folder.state)
    with raises(RunError):
        resume_run(folder, changes={"train.epochs": "3"})


def test_a_note_of_a_later_version_is_rejected_with_its_field(folder: RunFolder) -> None:
    folder.processes.write_text('{"strategy": "ddp", "mesh": [2, 4]}', "utf-8")
    with raises(RunError):
        resume_run(folder, changes={"train.epochs": "3"})


def test_a_recipe_of_a_later_version_is_reported_with_its_field(folder: RunFolder) -> None:
    recipe = json.loads(folder.recipe.read_text("utf-8"))
    folder.recipe.write_text(json.dumps({**recipe, "rehearse": ["a", "b"]}), "utf-8")
    assert summarize_run(folder).problem == "recipe.json is damaged or from another version: 'rehearse' is unknown"
