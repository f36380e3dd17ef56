"""Precision of a run: recorded, and used to resume, evaluate and probe."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from sewdsl.cli.app import app
from sewdsl.lower import SpikingNetwork
from sewdsl.train.fit.train_run import evaluate_run, resume_run
from sewdsl.train.store.run_folder import RunError, RunFolder

from .conftest import Run

STUDY = "study {\n    vary train.tf32 on off\n    probe rates\n}\n"
MIXED = {"epochs": 1, "batch": 500, "precision": "mixed"}


@pytest.fixture(scope="module")
def mixed(trained: Callable[..., Run]) -> Run:
    """A run in bfloat16; leave its folder as it is."""
    return trained(**MIXED)


def copied(run: Run, tmp_path: Path, **changes: object) -> RunFolder:
    """A copy with other fields in its result, and the same precision in its last checkpoint; an ellipsis removes it."""
    folder = RunFolder(Path(shutil.copytree(run.folder.path, tmp_path / "copy")))
    fields = {**json.loads(folder.result.read_text("utf-8")), **changes}
    folder.result.write_text(json.dumps({name: value for name, value in fields.items() if value is not ...}), "utf-8")
    checkpoint = torch.load(folder.state, weights_only=True)
    checkpoint["run"]["precision"] = fields["precision"]
    if fields["precision"] is ...:
        del checkpoint["run"]["precision"]
    torch.save(checkpoint, folder.state)
    return folder


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> set[Any]:
    """Return the dtype of a computation, and whether a GPU would use TF32 in convolutions and in products."""
    found: set[Any] = set()
    forward = SpikingNetwork.forward

    def note(self: SpikingNetwork, *arguments: Any, **options: Any) -> Tensor:
        mixed = torch.is_autocast_enabled("cpu")
        found.add(
            (
                torch.get_autocast_dtype("cpu") if mixed else torch.float32,
                torch.backends.cudnn.allow_tf32,
                torch.backends.cuda.matmul.allow_tf32,
            )
        )
        logits: Tensor = forward(self, *arguments, **options)
        return logits

    monkeypatch.setattr(SpikingNetwork, "forward", note)
    return found


def formats(seen: set[Any]) -> set[torch.dtype]:
    return {dtype for dtype, _, _ in seen}


def test_it_is_noted(run: Run, mixed: Run) -> None:
    for one, expected in ((run, "32-true"), (mixed, "bf16-mixed")):
        assert json.loads(one.folder.result.read_text("utf-8"))["precision"] == expected
        assert torch.load(one.folder.state, weights_only=True)["run"]["precision"] == expected
        assert expected in one.folder.report.read_text("utf-8")


@pytest.mark.parametrize(
    ("noted", "expected"), [("16-mixed", torch.float16), ("bf16-mixed", torch.bfloat16), (..., torch.bfloat16)]
)
def test_it_is_judged_and_probed_as_it_was_trained(
    mixed: Run, tmp_path: Path, seen: set[Any], noted: object, expected: torch.dtype
) -> None:
    """A run without a record uses the defaults of this machine."""
    folder = copied(mixed, tmp_path, precision=noted)
    found = evaluate_run(folder).measured
    assert formats(seen) == {expected}
    seen.clear()
    rates = probed("rates", folder)
    assert formats(seen) == {expected}
    assert rates["precision"] == {torch.float16: "16-mixed", torch.bfloat16: "bf16-mixed"}[expected]
    for block in rates["blocks"]:
        assert block["A"] == found.firing_rates[f"{block['name']}.branch.plif2"]


def probed(quantity: str, folder: RunFolder) -> Any:
    done = CliRunner().invoke(app, ["probe", quantity, str(folder.path), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_gradients_are_of_single_precision(mixed: Run, seen: set[Any]) -> None:
    assert probed("gradients", mixed.folder)["precision"] == "32-true"
    assert formats(seen) == {torch.float32}


def test_a_run_of_single_precision_stays_so(run: Run, tmp_path: Path, seen: set[Any]) -> None:
    folder = copied(run, tmp_path, precision=...)
    assert evaluate_run(folder).measured.accuracy == run.result.accuracy
    assert probed("rates", folder)["precision"] == "32-true"
    assert formats(seen) == {torch.float32}


@pytest.mark.parametrize(("noted", "said"), [
    ("16-mixed", "note: float16 requires a GPU; the run continues in bfloat16\n"),
    ("bf16-mixed", ""),
])  # fmt: skip
def test_it_goes_on(mixed: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], noted: object, said: str) -> None:
    folder = copied(mixed, tmp_path, precision=noted)
    result = resume_run(folder, changes={"train.epochs": "2"})
    assert (result.epochs, result.precision) == (2, "bf16-mixed")
    assert "".join(line for line in capsys.readouterr().err.splitlines(keepends=True) if "float16" in line) == said
    assert torch.load(folder.state, weights_only=True)["run"]["precision"] == "bf16-mixed"


def test_what_is_no_precision(mixed: Run, tmp_path: Path) -> None:
    folder = copied(mixed, tmp_path, precision="8-mixed")
    expected = r"precision is '8-mixed', expected '32-true', '16-mixed' or 'bf16-mixed'"
    with pytest.raises(RunError, match=expected):
        evaluate_run(folder)
    folder.result.unlink()
    with pytest.raises(RunError, match=expected):
        resume_run(folder)


class TestTF32:
    @pytest.fixture(autouse=True)
    def as_torch_has_it(self) -> tuple[bool, bool]:
        return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32

    @pytest.mark.parametrize("setting", ["on", "off", None])
    @pytest.mark.parametrize("quantity", ["rates", "gradients", "energy"])
    def test_probes_follow_the_recipe(
        self, small: Path, seen: set[Any], quantity: str, setting: str | None, as_torch_has_it: tuple[bool, bool]
    ) -> None:
        options = [] if setting is None else ["--set", f"train.tf32={setting}"]
        done = CliRunner().invoke(app, ["probe", quantity, str(small), *options])
        assert done.exit_code == 0, done.output
        expected = as_torch_has_it if setting is None else (setting == "on",) * 2
        assert {(convolutions, products) for _, convolutions, products in seen} == {expected}
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == as_torch_has_it

    def test_a_run_is_probed_as_it_is_judged(self, trained: Callable[..., Run], seen: set[Any]) -> None:
        folder = trained(epochs=1, batch=500, tf32="on").folder
        for look in (lambda: evaluate_run(folder), lambda: probed("rates", folder)):
            seen.clear()
            look()
            assert seen == {(torch.float32, True, True)}

    def test_studies_that_probe_follow_each_recipe(
        self, small: Path, tmp_path: Path, seen: set[Any], as_torch_has_it: tuple[bool, bool]
    ) -> None:
        (tmp_path / "study.net").write_text(small.read_text("utf-8") + STUDY, "utf-8")
        done = CliRunner().invoke(app, ["study", str(tmp_path / "study.net"), "--out", str(tmp_path / "out")])
        assert done.exit_code == 0, done.output
        assert seen == {(torch.float32, True, True), (torch.float32, False, False)}
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == as_torch_has_it
