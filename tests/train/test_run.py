"""Runs, small ones: what they leave, that they repeat, and that they can be judged from their folder alone."""

import json
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import torch
from matplotlib.image import imread
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.compiler import load, read
from sewdsl.train.data.dataset import SampleSet
from sewdsl.train.fit.checkpoints import read_state
from sewdsl.train.fit.classifier import Classifier
from sewdsl.train.fit.lightning_loop import EvaluationOptions, Score, evaluate_samples
from sewdsl.train.fit.load_run import load_model
from sewdsl.train.fit.train_run import evaluate_run
from sewdsl.train.report import pictures
from sewdsl.train.store import measurements
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.training_plan import plan_training
from tests.words import raises

from .conftest import Run


def _names(state: object) -> set[str]:
    """Last part of every key in a state, at any depth."""
    if not isinstance(state, dict):
        return set()
    return {str(key).removeprefix("model.") for key in state}.union(*map(_names, state.values()))


class TestFolder:
    def test_spec(self, run: Run, small: Path) -> None:
        assert load(run.folder.spec) == load(small)

    def test_recipe(self, run: Run) -> None:
        assert json.loads(run.folder.recipe.read_text("utf-8")) == {
            "on": "digits",
            "epochs": 2,
            "batch": 200,
            "accumulate": 1,
            "T_train": None,
            "optimizer": "Adam(lr=0.05, weight_decay=0.0)",
            "schedule": "Step(size=1, gamma=0.5)",
            "warmup": 0,
            "clip": None,
            "loss": "CrossEntropy",
            "label_smoothing": 0.0,
            "precision": "32",
            "tf32": None,
            "sync_bn": False,
            "compile": False,
            "optimize": 1,
            "memory": None,
            "seed": 0,
            "shift": 0,
            "flip": False,
            "augment": [],
            "resize": "bilinear",
            "crop": "random",
            "mean": None,
            "std": None,
            "holdout": 0.2,
            "validation": 0.0,
            "subset": False,
            "freeze": [],
            "lr": [],
            "ema": None,
        }

    def test_metrics_are_exact(self, run: Run) -> None:
        found = measurements.read_metrics(run.folder.metrics)
        assert found[max(found)]["test_accuracy"] == run.result.accuracy
        assert max(row["test_accuracy"] for row in found.values()) == run.result.best_accuracy
        for row in found.values():
            right = row["train_accuracy"] * 1438
            assert row["train_accuracy"] == round(right) / 1438

    def test_metrics(self, run: Run) -> None:
        found = measurements.read_metrics(run.folder.metrics)
        figures = {"train_loss", "train_accuracy", "test_loss", "test_accuracy", "learning_rate"}
        plain = {epoch: {name for name in row if "/" not in name} for epoch, row in found.items()}
        assert plain == {1: figures, 2: figures}
        assert [row["learning_rate"] for row in found.values()] == pytest.approx([0.05, 0.025])
        assert found[2]["train_loss"] < found[1]["train_loss"]
        assert run.result.accuracy == pytest.approx(found[2]["test_accuracy"])
        assert run.result.best_accuracy == pytest.approx(max(row["test_accuracy"] for row in found.values()))
        assert list((run.folder.path / "tensorboard").glob("events.*"))

    def test_pictures(self, run: Run) -> None:
        height, width, _channels = imread(run.folder.curves).shape
        assert (width, height) == (1350, 540)
        assert ET.parse(run.folder.diagram).getroot().tag.endswith("svg")  # noqa: S314 -- written a moment ago

    def test_names_are_no_formulas(self, run: Run, tmp_path: Path) -> None:
        pictures.draw_png(measurements.read_metrics(run.folder.metrics), r"a $\frac$ b", tmp_path / "c.png")
        assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")

    def test_result(self, run: Run, small: Path) -> None:
        result = run.folder.read_result()
        assert result == run.result
        network = load(small)
        assert (result.network, result.data, result.epochs, result.processes) == ("Small", "digits", 2, 1)
        assert result.parameters == network.total_parameters
        assert list(result.firing_rates) == [node.name for node in network if node.op.kind == "PLIF"]
        shapes = {node.name: node.output.shape for node in network if node.op.kind == "PLIF"}
        assert {name: found.shape for name, found in result.neurons.items()} == shapes
        assert result.accuracy > 0.3
        assert round(result.accuracy * 359, 9).is_integer()

    def test_confusion(self, run: Run) -> None:
        (classes, counts), wrong = measurements.parse_confusion(run.folder.confusion.read_bytes())
        assert wrong == []
        assert classes == [str(digit) for digit in range(10)]
        assert sum(map(sum, counts)) == 359
        assert sum(counts[label][label] for label in range(10)) == round(run.result.accuracy * 359)
        assert json.loads(run.folder.confusion.read_text("utf-8")) == {"classes": classes, "counts": counts}


class TestRepeats:
    def test_one_seed_one_result(self, run: Run, trained: Callable[..., Run]) -> None:
        again = trained()
        ours, theirs = load_file(run.folder.last), load_file(again.folder.last)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        assert run.result.model_copy(update={"seconds": 0}) == again.result.model_copy(update={"seconds": 0})

    def test_another_seed_another_result(self, run: Run, trained: Callable[..., Run]) -> None:
        other = trained(seed=1, epochs=1)
        assert not torch.equal(*(load_file(one.folder.last)["conv1.weight"] for one in (run, other)))

    def test_evaluation_finds_the_same(self, run: Run) -> None:
        reported, found, samples = evaluate_run(run.folder)
        assert reported == found == run.result
        assert samples == 359

    def test_all_read_the_same_weights(self, run: Run, tmp_path: Path) -> None:
        folder = RunFolder(Path(shutil.copytree(run.folder.path, tmp_path / "run")))
        for path, best in ((folder.last, False), (folder.best, True)):
            # Copies: older versions of safetensors map the file, which is written below.
            altered = {name: value.clone() for name, value in load_file(path).items()}
            altered["fc1.bias"][3] += 100  # class 3 wins
            save_file(altered, path)
            for model in (load_model(folder, best=best), sewdsl.load_trained(folder.path, best=best)):
                assert all(torch.equal(value, altered[key]) for key, value in model.state_dict().items())
        threes = sum(int(label) == 3 for label in plan_training(read(folder.spec)).data.load().test.y)
        found = evaluate_run(folder).measured
        assert (found.accuracy, found.best_accuracy) == (threes / 359, threes / 359)
        done = CliRunner().invoke(app, ["eval", str(folder.path), "--device", "cpu"])
        assert done.exit_code == 1
        assert f"accuracy {threes / 359:.2%} in the last epoch, {threes / 359:.2%} in the best" in done.stdout

    def test_weights_and_metrics_are_there_once(self, run: Run) -> None:
        keys = {*load_file(run.folder.last)}
        assert not [path for path in run.folder.path.rglob("*.ckpt") if keys & _names(torch.load(path))]
        assert sorted(path.name for path in run.folder.last.parent.glob("*.safetensors")) == [
            "best.safetensors",
            "last.safetensors",
            "previous.safetensors",
        ]
        assert [*run.folder.path.rglob("*.csv")] == [run.folder.metrics]
        assert run.result.top5_accuracy is None, "there are 10 classes"

    def test_evaluation_in_mixed_precision_with_deleted_steps(self, trained: Callable[..., Run]) -> None:
        mixed = trained(epochs=1, batch=500, precision="mixed", T_train=2)
        assert evaluate_run(mixed.folder)[1] == mixed.result

    def test_the_same_weights_are_judged_once(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        judged: list[Score] = []

        def judge_and_note(module: Classifier, samples: SampleSet, how: EvaluationOptions) -> Score:
            judged.append(evaluate_samples(module, samples, how))
            return judged[-1]

        monkeypatch.setattr("sewdsl.train.fit.train_run.evaluate_samples", judge_and_note)
        assert evaluate_run(run.folder)[1] == run.result
        assert len(judged) == 1
        assert run.result.accuracy == run.result.best_accuracy == judged[0].accuracy

    def test_last_is_kept_beside_best(self, trained: Callable[..., Run]) -> None:
        """The learning rate of the second epoch ruins what the first has learnt."""
        worse = trained(schedule="Step(size=1, gamma=1000)")
        assert worse.result.best_accuracy > worse.result.accuracy
        assert evaluate_run(worse.folder)[1] == worse.result


def test_deleted_steps_are_not_seen(small: Path) -> None:
    network, recipe, data = plan_training(read(small, set={"train.T_train": 2}))
    seen: list[int] = []

    class Model(torch.nn.Linear):
        def __init__(self) -> None:
            super().__init__(64, 10)
            self.network = network

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.shape[0] if x.ndim == 5 else -1)
            return super().forward(x.flatten(-3)).mean(0) if x.ndim == 5 else super().forward(x.flatten(-3))

    module = Classifier(Model(), recipe)  # type: ignore[arg-type]
    module.log_dict = lambda *_, **__: None  # type: ignore[method-assign]
    samples = data.load().test.batch(torch.arange(100))
    module.training_step(samples, 0)
    module.validation_step(samples, 0)
    assert seen == [2, -1]


class TestDamage:
    @pytest.fixture
    def copy(self, run: Run, tmp_path: Path) -> RunFolder:
        shutil.copytree(run.folder.path, tmp_path / "run")
        return RunFolder(tmp_path / "run")

    def test_no_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)  # the message names the runs of the current folder
        with raises(RunError):
            evaluate_run(RunFolder(tmp_path / "nowhere"))

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "Invalid JSON: EOF"),
            ("{", "Invalid JSON: EOF"),
            ("[" * 100_000, "Invalid JSON: recursion limit"),
            ("\0", "Invalid JSON: expected value"),
            ("{}", "'network' is missing$"),
            ('{"versions": {"sewdsl": "unknown"}}', "'network' is missing$"),
            ('{"versions": {"sewdsl": "0.0.9"}}', "'network' is missing; written by sewdsl 0.0.9$"),
        ],
    )
    def test_damaged_result(self, copy: RunFolder, text: str, said: str) -> None:
        copy.result.write_text(text, "utf-8")
        with pytest.raises(RunError, match=r"result\.json' is damaged or from another version: " + said):
            evaluate_run(copy)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"energy": 3}, "'energy' is unknown; written by sewdsl 9.1"),
            ({"accuracy": 2}, "accuracy is 2, expected at most 1; written by sewdsl 9.1"),
            ({"neurons": {"if1": {}}}, "'neurons.if1.shape' is missing; written by sewdsl 9.1"),
            ({"firing_rates": {"if1": -1}}, "firing_rates.if1 is -1, expected at least 0; written by sewdsl 9.1"),
        ],
    )
    def test_result_of_another_version(self, copy: RunFolder, changes: dict[str, object], said: str) -> None:
        found = json.loads(copy.result.read_text("utf-8"))
        copy.result.write_text(json.dumps({**found, **changes, "versions": {"sewdsl": "9.1"}}), "utf-8")
        with pytest.raises(RunError, match=re.escape(said)):
            evaluate_run(copy)

    def test_result_from_before_neurons_were_counted(self, run: Run, copy: RunFolder) -> None:
        found = json.loads(copy.result.read_text("utf-8"))
        del found["neurons"]
        copy.result.write_text(json.dumps(found), "utf-8")
        reported, again, _ = evaluate_run(copy)
        assert (reported.neurons, again) == ({}, run.result)

    @pytest.mark.parametrize("name", ["result.json", "spec.net", "best.safetensors", "last.safetensors"])
    def test_missing_file(self, copy: RunFolder, name: str) -> None:
        next(copy.path.rglob(name)).unlink()
        with pytest.raises(RunError, match=name):
            evaluate_run(copy)

    @pytest.mark.parametrize("keep", [0, 100, 2_000])
    def test_truncated_weights(self, copy: RunFolder, keep: int) -> None:
        copy.last.write_bytes(copy.last.read_bytes()[:keep])
        with pytest.raises(RunError, match=r"last\.safetensors' are damaged"):
            evaluate_run(copy)

    @pytest.mark.parametrize("name", ["best", "last"])
    def test_one_bit(self, copy: RunFolder, name: str) -> None:
        data = bytearray(getattr(copy, name).read_bytes())
        data[-5] ^= 1
        getattr(copy, name).write_bytes(data)
        with raises(RunError):
            evaluate_run(copy)

    @pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated")
    def test_torch_is_silent_on_a_file_that_is_rejected(self, copy: RunFolder) -> None:
        torch.jit.save(torch.jit.script(torch.nn.Identity()), copy.state)
        with warnings.catch_warnings(record=True, action="always") as seen, pytest.raises(RunError, match="is damaged"):
            read_state(copy.state)
        assert not seen

    def test_weights_of_another_kind(self, copy: RunFolder) -> None:
        torch.save([1, 2, 3], copy.best)
        with pytest.raises(RunError, match=r"best\.safetensors' are damaged"):
            evaluate_run(copy)

    def test_weights_of_another_network(self, copy: RunFolder) -> None:
        copy.spec.write_text(copy.spec.read_text("utf-8").replace("c4k3", "c6k3"), "utf-8")
        with pytest.raises(RunError, match=r"best\.safetensors' do not fit the network: size mismatch"):
            evaluate_run(copy)
