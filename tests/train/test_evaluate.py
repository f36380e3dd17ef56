"""``sewdsl.evaluate``, and the weights that are shipped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import sewdsl
from docs.site.zoo import MEASURED
from sewdsl.cli.app import app
from sewdsl.compiler import trained_networks
from sewdsl.tensor_file import DIGEST, decode_tensors
from sewdsl.train.fit.train_run import evaluate_run
from tests.words import raises

from .conftest import Run


def test_a_run_and_its_module(run: Run) -> None:
    expected = evaluate_run(run.folder).measured
    found = sewdsl.evaluate(run.folder.path)
    assert (found.accuracy, found.firing_rates) == (expected.accuracy, expected.firing_rates)
    assert (found.data, found.samples, found.top5_accuracy) == ("digits", 359, None)
    assert sum(map(sum, found.confusion)) == 359
    assert sewdsl.evaluate(str(run.folder.path), best=True).accuracy == expected.best_accuracy
    model = sewdsl.load_trained(run.folder.path).train()
    assert sewdsl.evaluate(model).accuracy == expected.accuracy
    assert model.training


def test_a_module_without_a_recipe() -> None:
    with raises(ValueError):
        sewdsl.evaluate(sewdsl.compile("c1k3-IF-FC10", input="1x8x8"))


def test_shipped_weights_are_small_and_whole() -> None:
    assert {*trained_networks()} == {*MEASURED}
    for name, path in trained_networks().items():
        tensors, metadata = decode_tensors(path.read_bytes())
        assert DIGEST in metadata
        assert path.stat().st_size <= 200_000
        model = sewdsl.compile(name, weights="trained")
        assert not model.training
        assert all(torch.equal(value, tensors[key]) for key, value in model.state_dict().items())


def test_accuracy_on_a_fifth_of_the_events() -> None:
    samples = sewdsl.dataset("mnist5k-dvs", "test", steps=6)
    x, y = samples.collate(samples.__getitems__([*range(0, len(samples), 5)]))
    with torch.no_grad():
        right = int((sewdsl.compile("mnist5k-dvs", weights="trained")(x).argmax(1) == y).sum())
    assert abs(right / len(y) - MEASURED["mnist5k-dvs"]) < 0.03


def test_the_command_without_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["eval", "mnist5k", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    accuracy = float(done.stdout.split()[1].removesuffix("%,")) / 100
    assert abs(accuracy - MEASURED["mnist5k"]) < 0.004, "on another machine, a sample near a threshold may change"
    assert "on all 1,000 test samples of mnist5k" in done.stdout
    Path("mnist5k").mkdir()
    assert CliRunner().invoke(app, ["eval", "mnist5k"]).exit_code == 1, "a folder of that name comes first"


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("tiny", {}, "no trained weights for 'tiny'; networks with trained weights: mnist5k, mnist5k-dvs"),
        ("mnist5k", {"classes": 7}, "the trained weights of mnist5k do not fit .* size mismatch for fc1"),
        ("mnist5k", {"weights": "best"}, "weights must be 'trained' or None, got 'best'"),
    ],
)
def test_no_such_weights(spec: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sewdsl.compile(spec, **{"weights": "trained", **options})  # type: ignore[arg-type]
