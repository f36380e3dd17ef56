"""Losses of several outputs: their sum, their targets, teachers, and what a run makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.ir.json import to_json
from sewdsl.ir.network import Network
from sewdsl.notation import write_net
from sewdsl.notebook import NotebookRun
from sewdsl.probe import block_gradients
from sewdsl.train.data.dataset import Samples
from sewdsl.train.fit import checkpoints
from sewdsl.train.fit.classifier import Classifier
from sewdsl.train.fit.loss_and_accuracy import total_loss
from sewdsl.train.fit.run_weights import read_weights, write_weights
from sewdsl.train.fit.teacher import Teacher
from sewdsl.train.fit.train_run import resume_run
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.store.run_record import summarize_run
from sewdsl.train.training_plan import training_problems
from tests.network_json import from_json
from tests.words import check_words, raises

HEAD = "sewdsl 1\ninput 1x8x8\nsteps 3\nencode direct\nneuron LIF(tau=2.0, v_threshold=0.3)\n"
EXITS = """\
let low = c4k3-BN-SN
let early = low-GAP-FC10
let last = low-MPk2-SEW Block (c8)-GAP-FC10
outputs early last
"""
RECIPE = "train on digits {{\n epochs {}\n batch 400\n optimizer Adam(lr=0.01)\n{}\n}}\n"
TAUGHT = """\
 loss last CrossEntropy
 loss last KL(to=teacher, temperature=4.0) 0.5x
 loss early TET 0.3x
 loss early KL(to=last, temperature=2.0) 0.25x"""
AUTO = "body c4k3-BN-SN-c1k3-Tanh\n"


def text(body: str, losses: str, epochs: int = 1, teacher: Path | None = None) -> str:
    named = "" if teacher is None else f' teacher "{teacher.as_posix()}"\n'
    return HEAD + body + RECIPE.format(epochs, named + losses)


def loaded(*args: Any) -> Network:
    return sewdsl.read(text(*args)).result()


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    (folder / "ann.net").write_text("sewdsl 1\ninput 1x8x8\nbody c4k3-BN-ReLU-GAP-FC10\n" + RECIPE.format(1, ""))
    return sewdsl.train_network(folder / "ann.net", folder / "run", progress_bar=False).folder


def test_the_total_is_the_sum_of_all_terms(teacher: Path) -> None:
    network = loaded(EXITS, TAUGHT, 1, teacher)
    model = sewdsl.compile(network, seed=0).double()
    taught = Teacher.of(str(teacher))
    x, y = torch.rand(5, 1, 8, 8), torch.arange(5)
    targets = taught.readouts(x)[""].double()
    readouts, total = total_loss(model, Samples(x.double(), y), network, {"": targets})
    y_TN = model(x.double(), return_sequence=True)
    early, last = (y_TN[name].mean(0) for name in ("early", "last"))

    def divergence(output: torch.Tensor, target: torch.Tensor, temperature: float) -> torch.Tensor:
        p, q = (each / temperature for each in (target, output))
        return temperature**2 * (p.softmax(1) * (p.log_softmax(1) - q.log_softmax(1))).sum(1).mean()

    tet = torch.stack([functional.cross_entropy(each, y) for each in y_TN["early"]]).mean()
    expected = functional.cross_entropy(last, y) + 0.5 * divergence(last, targets, 4) + 0.3 * tet
    expected = expected + 0.25 * divergence(early, last.detach(), 2)
    torch.testing.assert_close(total, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(readouts, {"early": early, "last": last})
    own, hand = (torch.autograd.grad(each, list(model.parameters())) for each in (total, expected))
    torch.testing.assert_close(own, hand, rtol=1e-9, atol=1e-12)


def test_a_target_that_is_an_output_is_not_trained() -> None:
    losses = " loss last CrossEntropy\n loss early KL(to=last, temperature=2.0)"
    network = loaded(EXITS, losses)
    model, batch = sewdsl.compile(network, seed=0), Samples(torch.rand(4, 1, 8, 8), torch.arange(4))
    total_loss(model, batch, network, {})[1].backward()  # type: ignore[no-untyped-call]
    both = model.get_parameter("last.fc1.weight").grad
    model.zero_grad()
    functional.cross_entropy(model(batch.x)["last"], batch.y).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(both, model.get_parameter("last.fc1.weight").grad)


def test_a_teacher_draws_no_random_numbers(teacher: Path) -> None:
    """Otherwise, the initial weights and the dropout of a run would depend on its teacher."""
    before = torch.random.get_rng_state()
    Teacher.of(str(teacher))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_teacher_has_no_gradient_and_is_not_stored(teacher: Path) -> None:
    network = loaded(EXITS, TAUGHT, 1, teacher)
    taught = Teacher.of(str(teacher))
    assert network.recipe is not None
    module = Classifier(sewdsl.compile(network), network.recipe, taught)
    assert all(weight.grad is None and not weight.requires_grad for weight in taught.model.parameters())
    assert not taught.readouts(torch.rand(2, 1, 8, 8))[""].requires_grad
    assert not taught.model.training
    assert len(list(module.parameters())) == len(list(module.model.parameters()))
    assert module.state_dict().keys() == {f"model.{key}" for key in module.model.state_dict()}


@pytest.mark.parametrize("static", [True, False])
def test_the_target_of_an_autoencoder_is_its_input(*, static: bool) -> None:
    network = loaded(AUTO, " loss MSE(to=input)")
    model = sewdsl.compile(network, seed=0).double()
    x = torch.rand(*([] if static else [3]), 4, 1, 8, 8, dtype=torch.float64)
    _, total = total_loss(model, Samples(x, torch.zeros(4)), network, {})
    output = model(x) if static else model(x, return_sequence=True)
    torch.testing.assert_close(total, (output - x).square().mean())


def test_early_exits_learn_and_a_resumed_run_is_equal(teacher: Path, tmp_path: Path) -> None:
    spec = tmp_path / "exits.net"
    spec.write_text(text(EXITS, TAUGHT, 2, teacher))
    whole = sewdsl.train_network(spec, tmp_path / "whole", progress_bar=False)
    spec.write_text(text(EXITS, TAUGHT, 1, teacher))
    sewdsl.train_network(spec, tmp_path / "part", progress_bar=False)
    part = RunFolder(tmp_path / "part")
    resume_run(part, changes={"train.epochs": "2"})
    for key, weight in read_weights(RunFolder(tmp_path / "whole").last).items():
        assert torch.equal(weight, read_weights(part.last)[key]), key
    assert whole.result.accuracies.keys() == {"early"}
    assert "test_accuracy.early" in part.metrics.read_text().splitlines()[0]
    state = checkpoints.read_state(part.state)
    assert state["run"]["teacher"] == Teacher.of(str(teacher)).sha256
    evaluated = sewdsl.evaluate(tmp_path / "whole")
    assert evaluated.accuracy == whole.result.accuracy
    assert "accuracy.early" in (tmp_path / "whole" / "README.md").read_text()


def test_a_changed_teacher_is_refused(teacher: Path, tmp_path: Path) -> None:
    spec = tmp_path / "exits.net"
    spec.write_text(text(EXITS, TAUGHT, 1, teacher))
    sewdsl.train_network(spec, tmp_path / "run", progress_bar=False)
    folder = RunFolder(tmp_path / "run")
    weights = RunFolder(teacher).last
    before = weights.read_bytes()
    other = sewdsl.compile(sewdsl.read(teacher / "spec.net").result(), seed=5)
    try:
        write_weights(weights, other.state_dict())
        with pytest.raises(RunError, match="teacher"):
            resume_run(folder, changes={"train.epochs": "2"})
    finally:
        weights.write_bytes(before)


def test_an_autoencoder_learns(tmp_path: Path) -> None:
    spec = tmp_path / "auto.net"
    spec.write_text(text(AUTO, " loss MSE(to=input)", 2))
    result = sewdsl.train_network(spec, tmp_path / "run", progress_bar=False).result
    assert (result.accuracy, result.accuracies) == (0, {})
    head, *rows = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    assert "accuracy" not in head
    losses = [float(row.split(",")[head.split(",").index("test_loss")]) for row in rows]
    assert losses[1] < losses[0]
    assert result.loss == result.best_loss == pytest.approx(losses[1], rel=1e-5)
    assert sewdsl.evaluate(tmp_path / "run").loss == result.loss
    evaluated = CliRunner().invoke(app, ["eval", str(tmp_path / "run")])
    assert evaluated.exit_code == 0, evaluated.output
    loss = f"{result.loss:.4f}"
    assert f"loss {loss} in the last epoch, {loss} in the best, on all 359 test samples" in evaluated.stdout
    summary = summarize_run(RunFolder(tmp_path / "run"))
    assert (summary.accuracy, summary.best_accuracy, summary.state) == (None, None, "finished")
    assert f"loss {loss} in the last epoch" in repr(NotebookRun(tmp_path / "run"))
    folder = RunFolder(tmp_path / "run")
    assert f'<span class="value">{loss}</span> <span class="label">loss, last epoch</span>' in folder.report.read_text()
    folder.result.write_text(result.model_copy(update={"loss": 2 * losses[1]}).model_dump_json(), "utf-8")
    differing = CliRunner().invoke(app, ["eval", str(tmp_path / "run")])
    assert differing.exit_code == 1
    assert "error: the loss differs from the result of the run" in differing.stderr


def test_recipes_come_back() -> None:
    network = loaded(EXITS, TAUGHT, 1, Path("runs/ann-1"))
    assert sewdsl.read(write_net(network)).result().recipe == network.recipe
    assert from_json(to_json(network)) == network
    plain = loaded("body GAP-FC10\n", " loss TET(weight=0.05)")
    assert plain.recipe is not None
    assert not plain.recipe.losses
    assert not {"losses", "teacher"} & to_json(plain)["recipe"].keys()
    assert network.recipe is not None
    changed = sewdsl.read(text(EXITS, TAUGHT), set={"train.batch": "7"}).result().recipe
    assert changed is not None
    assert changed.losses == network.recipe.losses
    one = sewdsl.read(text(EXITS, TAUGHT), set={"train.loss": "early MSE"}).result().recipe
    assert one is not None
    assert [str(term) for term in one.losses] == ["early MSE"]


def test_gradients_of_the_main_output() -> None:
    network = loaded(EXITS, " loss last CrossEntropy\n loss early CrossEntropy")
    model = sewdsl.compile(network, seed=0, optimize=0)
    assert len(block_gradients(model, [(torch.rand(3, 1, 8, 8), torch.arange(3))])) == 1


WRONG: dict[str, tuple[str, str, str]] = {
    "no name": (EXITS, " loss CrossEntropy", "several-outputs"),
    "one without a name": (EXITS, " loss last CrossEntropy\n loss MSE 0.5x", "several-outputs"),
    "unknown output": (EXITS, " loss lats CrossEntropy\n loss early MSE", "unknown-name"),
    "unused": (EXITS, " loss last CrossEntropy", "unused-output"),
    "unknown target": (EXITS, " loss last CrossEntropy\n loss early KL(to=mid)", "unknown-name"),
    "first": (EXITS, " loss last KL(to=early)\n loss early MSE", "invalid-argument"),
    "next": (EXITS, " loss last MSE\n loss early MSE(to=next)", "invalid-argument"),
    "shape": (EXITS, " loss last MSE\n loss early MSE(to=input)", "invalid-argument"),
    "vector": (AUTO, " loss KL(to=input)", "invalid-argument"),
    "no teacher": (EXITS, " loss last MSE\n loss early KL(to=teacher)", "teacher-mismatch"),
    "idle teacher": (EXITS, ' teacher "runs/a"\n loss last MSE\n loss early MSE', "teacher-mismatch"),
    "name without outputs": ("body GAP-FC10\n", " loss last MSE", "unknown-name"),
    "classes": (EXITS.replace("FC10\nlet last", "FC9\nlet last"), " loss last MSE\n loss early MSE", "data-mismatch"),
    "words": (EXITS, " loss last early MSE", "invalid-argument"),
    "factor": (EXITS, " loss last MSE 0x\n loss early MSE", "invalid-argument"),
    "order": (EXITS, " loss MSE last 2x", "invalid-argument"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused(case: str) -> None:
    body, losses, code = WRONG[case]
    compilation = sewdsl.read(text(body, losses))
    found = [*compilation.diagnostics, *training_problems(compilation)]
    assert [each.code for each in found] == [code], [str(each) for each in found]
    check_words(f"{found[0].message}\n{found[0].help}")


@pytest.mark.parametrize(("key", "value"), [("input", "1x8x7"), ("body", "GAP-FC9"), ("body", "GAP-F9")])
def test_a_teacher_that_does_not_fit(tmp_path: Path, key: str, value: str) -> None:
    run = tmp_path / "ann"
    run.mkdir()
    ann = {"input": "1x8x8", "body": "GAP-FC10", key: value}
    (run / "spec.net").write_text(f"sewdsl 1\ninput {ann['input']}\nbody {ann['body']}\n")
    found = training_problems(sewdsl.read(text(EXITS, TAUGHT, 1, run)))
    check_words("\n".join(f"{each.code}: {each.message}" for each in found))


def test_a_missing_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The message names the runs of the current folder.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exits.net").write_text(text(EXITS, TAUGHT, 1, tmp_path / "ann"))
    with raises(RunError):
        sewdsl.train_network(tmp_path / "exits.net", tmp_path / "run", progress_bar=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", [["train", "--repeat", "2"], ["study"]])
def test_several_runs_with_a_missing_teacher(tmp_path: Path, command: list[str]) -> None:
    search = "study {\n    vary train.batch 10 20\n    search Random(trials=1)\n}\n"
    (tmp_path / "exits.net").write_text(text(EXITS, TAUGHT, 1, tmp_path / "ann") + search)
    result = CliRunner().invoke(app, [*command, str(tmp_path / "exits.net"), "--out", str(tmp_path / "runs")])
    assert result.exit_code == 1
    assert "error: teacher: there is no folder" in result.stderr
    assert not [*tmp_path.rglob("spec.net")]
