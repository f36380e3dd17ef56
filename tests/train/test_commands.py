"""``sewdsl train`` and ``sewdsl eval``."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sewdsl.cli.app import app
from sewdsl.train.store.run_folder import RunFolder, make_numbered
from tests.systems import make_link
from tests.words import check_words

from .conftest import SMALL
from .made import unfinished


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_there_and_back(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("train", small, "--out", out, "--set", "train.epochs=1", "--steps", "2", "--data", "elsewhere")
    assert done.exit_code == 0, done.output
    said = done.stderr.splitlines()
    assert said[:8] == [
        "training Small on digits",
        "  epochs     1",
        "  batch      200",
        "  optimizer  Adam(lr=0.05, weight_decay=0.0)",
        "  schedule   Step(size=1, gamma=0.5)",
        "  seed       0",
        f"  others     default values, listed in {out / 'recipe.json'}",
        "data: digits comes with a package; 'elsewhere' is not used",
    ]
    assert any(line.startswith("epoch 1/1   loss ") for line in said)
    rows = {row[0]: row[1:] for row in map(str.split, done.stdout.splitlines()) if row}
    assert rows["neurons"] == ["firing", "rate", "dead", "saturated", "(over", "90%)"]
    layer = "repeat1.2.sew_block1.branch.plif2"
    result = RunFolder(out).read_result()
    found = result.neurons[layer]
    assert rows[layer] == [
        f"{share:.2%}"
        for share in (result.firing_rates[layer], found.dead / found.neurons, found.saturated / found.neurons)
    ]
    *_, accuracy, where = done.stdout.splitlines()
    assert where.startswith("1 epoch in ")
    assert where.endswith(f"results are in {out}")
    again = run("eval", out)
    judged = f"{accuracy}, on all 359 test samples of digits"
    assert (again.exit_code, again.stdout.strip(), again.stderr) == (0, judged, "")

    reported = json.loads((out / "result.json").read_text("utf-8"))
    (out / "result.json").write_text(json.dumps({**reported, "accuracy": 0.5}), "utf-8")
    differs = run("eval", out)
    assert (differs.exit_code, differs.stdout.strip()) == (1, judged)
    assert differs.stderr.startswith("error: the accuracy differs from the result of the run: 50.00% and ")

    refused = run("train", small, "--out", out)
    assert refused.exit_code == 1
    assert (
        refused.stderr
        == f"error: '{out}' already contains a run; use --resume to resume it, or --overwrite to replace it\n"
    )


def test_settings_that_are_not_as_by_default(small: Path, tmp_path: Path) -> None:
    options = ["--set", "train.epochs=1", "--set", "train.batch=500", "--set", "train.clip=1.0"]
    done = run("train", small, "--out", tmp_path / "a", *options)
    assert "  clip       1.0" in done.stderr.splitlines()


def test_a_refusal_to_go_on_does_not_say_to_go_on(tmp_path: Path) -> None:
    folder = unfinished(tmp_path / "run")
    folder.state.parent.mkdir()
    folder.state.write_bytes(b"no checkpoint")
    refused = run("train", "--resume", folder.path)
    assert refused.exit_code == 1
    assert len(refused.stderr.splitlines()) == 1
    assert refused.stderr.startswith("error: ")


def test_a_spec_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "wrong.net"
    path.write_text(SMALL.replace("digits", "digitz"), "utf-8")
    done = run("train", path, "--out", tmp_path / "out")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"{path}:8:10: error[unknown-name]: unknown dataset 'digitz'",
        "   8 | train on digitz {",
        "     |          ^^^^^^",
        "   help: did you mean 'digits'?",
    ]
    assert not (tmp_path / "out").exists()


def test_eval_of_what_is_no_run(tmp_path: Path) -> None:
    done = run("eval", tmp_path)
    assert (done.exit_code, done.stdout) == (1, "")
    check_words(done.stderr)


def test_out_is_a_file(small: Path) -> None:
    done = run("train", small, "--out", small)
    assert done.exit_code == 1
    check_words(done.stderr)


def test_folders_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [make_numbered("Wide-7B-Net").path.as_posix() for _ in range(2)] == [
        "runs/wide-7b-net-1",
        "runs/wide-7b-net-2",
    ]
    make_link(tmp_path / "runs" / "wide-7b-net-3", "nowhere")  # taken, as by a process that was faster
    assert make_numbered("Wide-7B-Net").path.name == "wide-7b-net-4"
    assert make_numbered("../é").path.as_posix() == "runs/run-1"


def test_train_names_the_study_that_it_does_not_do(small: Path, tmp_path: Path) -> None:
    file = tmp_path / "varied.net"
    file.write_text(SMALL + "\nstudy {\n    vary join ADD AND\n}\n", "utf-8")
    said = f"note: training the base network; use 'sewdsl study {file}' for its 2 variants"
    options = ["--set", "train.epochs=1", "--set", "train.batch=1000"]
    assert said in run("train", file, "--out", tmp_path / "a", *options).stderr.splitlines()
    assert said not in run("train", small, "--out", tmp_path / "b", *options).stderr.splitlines()
