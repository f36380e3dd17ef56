"""``README.md`` of a run: whole, true to the files, and without anything of the machine."""

import json
import re
import shutil
import socket
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.train import report
from sewdsl.train.report import model_card
from sewdsl.train.store.measurements import COUNTED_SAMPLES
from sewdsl.train.store.run_folder import RunFolder, hide_machine
from sewdsl.train.store.run_record import load_record
from tests.words import check_words

from .conftest import LIGHT, SMALL, Run
from .made import counted, finished, unfinished

HEADINGS = ["Results", "Layers", "Energy", "Loading", "Data", "Training", "Metrics", "Licence"]
CLAIMS = 'body    c4k3-BN-PLIF-{SEW Block-MPk2s2}*2-FC10\nclaim accuracy 87.65% "Tab. 1"\nclaim energy 1J "Tab. 2"\n'
CLAIMING = SMALL.replace("body    c4k3-BN-PLIF-{SEW Block-MPk2s2}*2-FC10\n", CLAIMS)


def written(folder: RunFolder) -> tuple[dict[str, Any], str]:
    """The head and the body of a card, made now."""
    report.write_card(folder)
    _, head, body = folder.card.read_text("utf-8").split("---\n", 2)
    return yaml.safe_load(head), body


def headings(body: str) -> list[str]:
    return re.findall("^## (.*)$", body, re.MULTILINE)


class TestOfARun:
    def test_everything_is_said(self, run: Run) -> None:
        head, body = written(run.folder)
        assert headings(body) == HEADINGS
        (model,) = head["model-index"]
        (result,) = model["results"]
        accuracies = [metric["value"] for metric in result["metrics"] if metric["type"] == "accuracy"]
        assert accuracies == [round(run.result.accuracy, 6), round(run.result.best_accuracy, 6)]
        assert head["datasets"] == ["digits"]
        assert head["pipeline_tag"] == result["task"]["type"] == "image-classification"
        assert "license" not in head
        for share in (run.result.accuracy, run.result.best_accuracy, *run.result.firing_rates.values()):
            assert f"{share:.2%}" in body
        assert (run.folder.path / "diagram.svg").is_file()
        assert "](diagram.svg)" in body
        assert run.folder.spec.read_text("utf-8") in body
        for word in ("Alpaydin", "seed 0", "precision 32-true", version("torch"), "Unfinished"):
            assert (word in body) is (word != "Unfinished"), word

    def test_a_stranger_hears_of_data_and_classes(self, run: Run) -> None:
        """The card describes data only if there is a description: digits come with a package, without class names."""
        facts = load_record(run.folder)
        plain = model_card.render_card(facts)
        assert "sewdsl eval .\n" in plain
        assert "Classes, from 0" not in plain
        named = facts.confusion._replace(classes=["ant", "a*b", *map(str, range(2, 10))])
        card = model_card.render_card(replace(facts, confusion=named, command="sewdsl train spec.net --data DIR"))
        assert "sewdsl eval . --data DIR\n" in card
        assert "Classes, from 0: ant, a\\*b, 2, 3, 4, 5, 6, 7, 8, 9." in card

    def test_energy_is_what_the_command_counts(self, run: Run) -> None:
        _, body = written(run.folder)
        amount = ["--batch", str(COUNTED_SAMPLES), "--batches", "1"]
        asked = ["probe", "energy", str(run.folder.path), *amount, "--as", "markdown", "--device", "cpu"]
        done = CliRunner().invoke(app, asked)
        assert done.exit_code == 0, done.output
        rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
        assert len(rows) > 6
        for row in rows:
            assert row in body

    def test_it_is_loaded_as_it_says(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        place = shutil.copytree(run.folder.path, tmp_path / "published", ignore=shutil.ignore_patterns("*.ckpt"))
        _, body = written(RunFolder(place))
        (code,) = re.findall(r"```python\n(.*?)```", body, re.DOTALL)
        monkeypatch.chdir(place)
        names: dict[str, Any] = {}
        exec(code, names)  # noqa: S102 -- our own text
        x = torch.rand(2, 1, 8, 8)
        expected = sewdsl.compile(run.folder.spec).eval()
        expected.load_state_dict(load_file(run.folder.last))
        assert torch.equal(names["model"](x), expected(x))

    def test_the_commands_that_it_names_are_there(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        place = shutil.copytree(run.folder.path, tmp_path / "published")
        _, body = written(RunFolder(place))
        monkeypatch.chdir(place)
        said = [line.split()[1:] for line in re.findall(r"^sewdsl (?:eval|export) .*$", body, re.MULTILINE)]
        assert said == [["eval", "."], ["export", ".", "network.py"]]
        for words in said:
            done = CliRunner().invoke(app, words)
            assert done.exit_code == 0, done.output

    def test_nothing_of_the_machine_is_in_the_folder(self, run: Run) -> None:
        private = [str(run.folder.path.parent).encode(), str(Path.home()).encode()]
        for file in run.folder.path.rglob("*"):
            if file.is_file():
                data = file.read_bytes()
                assert not any(word in data for word in private), file
        names = [file.name for file in (run.folder.path / "tensorboard").glob("*tfevents*")]
        assert names
        assert all(re.fullmatch(r"events\.out\.tfevents\.\d+\.run\.\d+\.\d+", name) for name in names)
        ignored = {*run.folder.ignored.read_text("utf-8").splitlines()}
        assert {"/local.json", "/lock", "/wandb/", "/mlflow/"} <= ignored


class TestMadeUp:
    def test_losses_of_a_network_without_an_accuracy(self, tmp_path: Path) -> None:
        text = LIGHT.replace("c4k3-BN-PLIF-MPk4s4-FC10", "c1k3").replace("epochs 2", "epochs 2\n    loss MSE(to=input)")
        head, body = written(finished(tmp_path / "run", text, accuracy=0, best_accuracy=0, loss=0.5, best_loss=0.25))
        assert not {"pipeline_tag", "metrics", "model-index"} & {*head}
        assert "| last epoch | 0.5000 |" in body
        assert "| best epoch | 0.2500 |" in body
        assert "accuracy" not in body

    def test_claims(self, tmp_path: Path) -> None:
        folder = finished(tmp_path / "run", CLAIMING)
        body = written(folder)[1]
        assert "- claim accuracy 87.65% (Tab. 1): holds for the best epoch." in body
        assert "- claim energy 1J: not measured." in body
        assert "\n## Energy\n\nNot measured." in body
        folder.energy.write_text(counted(folder).model_dump_json(), "utf-8")
        head, body = written(folder)
        assert "- claim energy 1J (Tab. 2): does not hold: the usual estimate is " in body
        assert [metric["type"] for metric in head["model-index"][0]["results"][0]["metrics"]] == [
            *("accuracy", "accuracy", "energy", "energy"),
        ]

    def test_a_run_that_has_not_ended_says_so(self, tmp_path: Path) -> None:
        head, body = written(unfinished(tmp_path / "run", CLAIMING))
        assert "> **Unfinished.** This card was written after 2 of 2 epochs." in body
        assert headings(body) == ["Claims", *HEADINGS[1:]]
        assert "- claim accuracy 87.65%: not measured." in body
        assert "model-index" not in head

    def test_counts_of_another_network_are_left_out(self, tmp_path: Path) -> None:
        folder = finished(tmp_path / "run")
        record = counted(folder).model_dump()
        record["layers"]["conv9"] = record["layers"].pop("conv1")
        folder.energy.write_text(json.dumps(record), "utf-8")
        assert "Not measured." in written(folder)[1]

    def test_what_the_author_adds_stays(self, tmp_path: Path) -> None:
        folder = finished(tmp_path / "run")
        written(folder)
        with folder.card.open("a", encoding="utf-8") as card:
            card.write("\nThanks to all.\n")
        assert written(folder)[1].endswith(f"{model_card.OWN_PART}\n\nThanks to all.\n")

    def test_texts_from_elsewhere_are_no_markup(self, tmp_path: Path) -> None:
        evil = "<script>alert(1)</script>|[a](http://b)"
        folder = finished(tmp_path / "run", network=evil, data="no `such` <data>")
        head, body = written(folder)
        outside = re.sub(r"```.*?```", "", body, flags=re.DOTALL)
        assert "<script" not in outside.replace("\\<", "")
        assert "](http" not in outside.replace("\\]", "")
        assert head["model-index"][0]["name"] == evil

    def test_long_tables_are_folded(self, tmp_path: Path) -> None:
        text = SMALL.replace("*2-FC10", "*3-{SEW Block}*8-FC10")
        body = written(finished(tmp_path / "run", text))[1]
        assert "<summary>layers</summary>" in body
        assert "<summary>layers</summary>" not in written(finished(tmp_path / "short"))[1]


class TestLicence:
    def test_it_is_stated_and_kept(self, tmp_path: Path) -> None:
        folder = finished(tmp_path / "run")
        assert "Not declared" in written(folder)[1]
        done = CliRunner().invoke(app, ["report", str(folder.path), "--license", "MIT"])
        assert done.exit_code == 0, done.output
        assert done.stdout.splitlines() == [str(folder.report), str(folder.card)]
        head, body = written(folder)
        assert head["license"] == "mit"
        assert "`mit`, as declared by the author" in body

    def test_what_is_none(self, tmp_path: Path) -> None:
        folder = finished(tmp_path / "run")
        done = CliRunner().invoke(app, ["report", str(folder.path), "--license", "mitt"])
        assert done.exit_code == 2
        check_words(done.stderr)
        assert not folder.terms.exists()

    def test_no_run(self, tmp_path: Path) -> None:
        done = CliRunner().invoke(app, ["report", str(tmp_path), "--license", "mit"])
        assert (done.exit_code, [*tmp_path.iterdir()]) == (1, [])
        check_words(done.stderr)


def test_a_killed_run_has_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "small.net").write_text(SMALL, "utf-8")
    monkeypatch.setattr("sewdsl.train.fit.lightning_loop.Trainer.fit", fail)
    done = CliRunner().invoke(app, ["train", str(tmp_path / "small.net"), "--out", str(tmp_path / "run")])
    assert done.exit_code == 1
    assert "after 0 of 2 epochs" in (tmp_path / "run" / "README.md").read_text("utf-8")


def test_a_machine_s_name_goes(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / f"events.out.tfevents.17.{socket.gethostname()}.lab.example.7.0").touch()
    hide_machine(RunFolder(tmp_path))
    assert [file.name for file in (tmp_path / "tensorboard").iterdir()] == ["events.out.tfevents.17.run.7.0"]
