"""The network of a run, found again and looked into."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from sewdsl import probe
from sewdsl.cli.app import app
from sewdsl.compiler import read
from sewdsl.train.data.dataset import Samples
from sewdsl.train.fit.load_run import load_model, random_batches
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.training_plan import plan_training
from tests.words import check_words, raises

from .conftest import Run
from .made import unfinished

BLOCKS = ("repeat1.1.sew_block1", "repeat1.2.sew_block1")


def look(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["probe", *map(str, arguments)])


def found(*arguments: object) -> Any:
    result = look(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def other_best(run: Run, tmp_path: Path) -> RunFolder:
    """A copy of the run whose best weights are twice the last."""
    folder = RunFolder(Path(shutil.copytree(run.folder.path, tmp_path / "copy")))
    weights = load_file(folder.last)
    weights["bn1.weight"] *= 2
    save_file(weights, folder.best)
    return folder


class TestTrained:
    def test_it_is_in_evaluation_mode_with_what_it_has_learned(self, run: Run) -> None:
        model = load_model(run.folder)
        assert not any(module.training for module in model.modules())
        weights = load_file(run.folder.last)
        assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
        assert model.state_dict()["bn1.running_var"].ne(1).any()

    def test_a_folder_by_its_path(self, run: Run) -> None:
        weights = load_model(run.folder).state_dict()
        for way in (run.folder.path, str(run.folder.path)):
            found = load_model(way).state_dict()
            assert all(torch.equal(value, weights[name]) for name, value in found.items())

    def test_the_best_weights(self, other_best: RunFolder) -> None:
        last, best = (load_model(other_best, best=best).state_dict()["bn1.weight"] for best in (False, True))
        assert torch.equal(best, 2 * last)

    def test_it_takes_as_many_threads_as_the_run(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[int] = []
        monkeypatch.setattr(torch, "set_num_threads", asked.append)
        load_model(run.folder)
        assert asked == [run.result.threads]

    def test_looking_changes_nothing(self, run: Run) -> None:
        model = load_model(run.folder)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        batches = list(probe.random_inputs(model.network, samples=3, batches=2))
        for quantity in (probe.block_rates, probe.block_gradients, probe.measure_operations):
            assert quantity(model, batches)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    def test_what_is_missing(self, run: Run, tmp_path: Path) -> None:
        folder = RunFolder(Path(shutil.copytree(run.folder.path, tmp_path / "copy")))
        folder.best.unlink()
        assert load_model(folder)
        with raises(RunError):
            load_model(folder, best=True)
        folder.spec.unlink()
        with pytest.raises(RunError, match=r"'.*spec.net' is missing"):
            load_model(folder)


class TestDrawn:
    SAMPLES = Samples(torch.arange(23).float()[:, None], torch.arange(23))

    def test_all_in_another_order(self) -> None:
        batches = [y.tolist() for _, y in random_batches(self.SAMPLES, 5, None, 0)]
        assert list(map(len, batches)) == [5, 5, 5, 5, 3]
        order = [label for batch in batches for label in batch]
        assert order != sorted(order) == list(range(23))
        assert [y.tolist() for _, y in random_batches(self.SAMPLES, 5, None, 0)] == batches
        assert [y.tolist() for _, y in random_batches(self.SAMPLES, 5, None, 1)] != batches

    def test_some(self) -> None:
        first = [(x.flatten().tolist(), y.tolist()) for x, y in random_batches(self.SAMPLES, 4, 2, 0)]
        assert first == [(x.flatten().tolist(), y.tolist()) for x, y in random_batches(self.SAMPLES, 4, None, 0)][:2]
        assert all(x == y for x, y in first)


class TestProbe:
    def test_rates_are_those_of_the_run(self, run: Run) -> None:
        rates = found("rates", run.folder.path)
        reported = run.folder.read_result().firing_rates
        assert [block["name"] for block in rates["blocks"]] == list(BLOCKS)
        assert [block["A"] for block in rates["blocks"]] == [reported[f"{name}.branch.plif2"] for name in BLOCKS]
        about = {key: rates[key] for key in ("name", "run", "weights", "mode", "data", "samples")}
        assert about == {
            "name": "Small",
            "run": run.folder.path.as_posix(),
            "weights": "last",
            "mode": "evaluation",
            "data": "digits",
            "samples": 359,
        }

    def test_a_part_of_the_samples(self, run: Run) -> None:
        part = found("rates", run.folder.path, "--batch", 7, "--batches", 2)
        assert part["samples"] == 14
        assert part["blocks"] != found("rates", run.folder.path)["blocks"]
        assert part["blocks"] != found("rates", run.folder.path, "--batch", 7, "--batches", 2, "--seed", 1)["blocks"]
        again = found("rates", run.folder.path, "--batch", 14, "--batches", 1, "--on", "data")
        assert again["blocks"] == part["blocks"]

    def test_best(self, other_best: RunFolder) -> None:
        last, best = found("rates", other_best.path), found("rates", other_best.path, "--best")
        assert (last["weights"], best["weights"]) == ("last", "best")
        assert best["blocks"][0]["O"] > last["blocks"][0]["O"]
        assert (
            f"after the best epoch of {other_best.path}, on all 359" in look("rates", other_best.path, "--best").stdout
        )

    def test_gradients(self, run: Run) -> None:
        data = plan_training(read(run.folder.spec)).data.load().test
        expected = probe.block_gradients(load_model(run.folder), random_batches(data, 200, 2, 3))
        gradients = found("gradients", run.folder.path, "--batches", 2, "--seed", 3)
        assert [block["S"] for block in gradients["blocks"]] == [each.amplitude for each in expected]
        assert gradients["samples"] == 359

    def test_energy(self, run: Run) -> None:
        data = plan_training(read(run.folder.spec)).data.load().test
        expected = probe.measure_operations(load_model(run.folder), random_batches(data, 200, None, 0))
        energy = found("energy", run.folder.path)
        assert [layer["events"] * 359 for layer in energy["layers"]] == pytest.approx([m.events for m in expected])
        assert energy["data"] == "digits"

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ([], "after the last epoch of {run}, on all 359 test samples of digits"),
            (["--batches", "1"], "after the last epoch of {run}, on 200 of 359 test samples of digits"),
            (["--on", "noise"], "after the last epoch of {run}, on 4 samples of random input"),
        ],
    )
    @pytest.mark.parametrize(
        ("quantity", "called"),
        [("rates", "firing rates"), ("gradients", "gradient amplitude"), ("energy", "operations of one sample, T = 3")],
    )
    def test_titles(self, run: Run, quantity: str, called: str, arguments: list[str], said: str) -> None:
        line = look(quantity, run.folder.path, *arguments).stdout.replace("\n", "").partition("   ")[0]
        assert line.startswith(f"Small: {called}, {said.format(run=run.folder.path)}")

    def test_before_training_on_the_recipe_s_data(self, small: Path) -> None:
        before = found("rates", small, "--on", "data", "--batches", 1)
        about = {key: before[key] for key in ("run", "weights", "mode", "data", "samples")}
        assert about == {"run": None, "weights": "initial", "mode": "training", "data": "digits", "samples": 200}
        text = look("rates", small, "--on", "data").stdout
        assert text.startswith("Small: firing rates, before training, on all 359 test samples of digits\n")

    def test_data_that_moved(self, frames: Run, tmp_path: Path) -> None:
        assert found("rates", frames.folder.path)["samples"] == 6
        lay = frames.folder.path.parent / "frames"
        lay.rename(tmp_path / "here")
        try:
            result = look("rates", frames.folder.path)
            assert (result.exit_code, result.stdout) == (1, "")
            assert result.stderr.startswith("error: ")
            assert f"the run used '{lay}'; if the dataset has moved, pass --data DIR" in result.stderr
            assert found("rates", frames.folder.path, "--data", tmp_path / "here")["samples"] == 6
            noise = found("rates", frames.folder.path, "--on", "noise", "--batch", 3, "--batches", 2)
            assert (noise["data"], noise["samples"], noise["mode"]) == (None, 6, "evaluation")
            spec = lay.with_name("frames.net")
            assert found("energy", spec, "--data", tmp_path / "here")["data"] == "frame-folder"
            result = look("rates", spec, "--on", "data")
            assert (result.exit_code, result.stderr.splitlines()[0]) == (
                1,
                "error: no folder for dataset frame-folder; pass --data DIR, or set SEWDSL_DATA to its parent folder",
            )
        finally:
            (tmp_path / "here").rename(lay)

    def test_what_is_no_run(self, tmp_path: Path) -> None:
        result = look("rates", tmp_path)
        assert (result.exit_code, result.stdout) == (1, "")
        check_words(result.stderr)

    def test_a_run_that_has_not_ended(self, tmp_path: Path) -> None:
        folder = unfinished(tmp_path / "run")
        result = look("rates", folder.path)
        assert result.exit_code == 1
        assert result.stderr.splitlines()[0] == f"error: the run in '{folder.path}' is not finished"

    def test_a_folder_named_as_a_shipped_network(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The name is the network's, as for every command; './' makes it the folder's."""
        shutil.copytree(run.folder.path, tmp_path / "tiny")
        monkeypatch.chdir(tmp_path)
        assert found("rates", "tiny")["name"] == "Tiny"
        assert found("rates", "./tiny", "--batches", 1)["name"] == "Small"

    @pytest.mark.parametrize(
        "arguments",
        [["--steps", "2"], ["--input", "1x8x8"], ["--neuron", "IF"], ["--set", "join=AND"], ["--limit", "nodes=9"]],
    )
    def test_a_run_is_looked_at_as_it_was_trained(self, run: Run, arguments: list[str]) -> None:
        assert look("rates", run.folder.path, *arguments).exit_code == 2
