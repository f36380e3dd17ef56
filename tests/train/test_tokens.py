"""Training on tokens: classes of texts, and the next token, from arrays in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.notation import write_net
from sewdsl.train.data.dataset import DataError, Samples
from sewdsl.train.fit.loss_and_accuracy import evaluate_batch, target_classes, total_loss
from sewdsl.train.fit.run_weights import read_weights
from sewdsl.train.fit.train_run import resume_run
from sewdsl.train.store.run_folder import RunFolder
from sewdsl.train.training_plan import dataset_of, training_problems
from tests.words import check_words, raises

VALUES, T = 7, 6
HEAD = "sewdsl 1\nneuron LIF(tau=2.0, v_threshold=0.5)\n"
NEXT = f"{HEAD}input 1 of {VALUES}\nsteps {T}\nbody EMB16-LOOP[ SN | FC16b0 ]-FC{VALUES}\n"
ROWS = f"{HEAD}input 5 of {VALUES}\nsteps {T}\nbody EMB16-SN-c{VALUES}k1\n"
FORECAST = f"{HEAD}input 3\nsteps {T}\nbody FC16-SN-FC3\n"
TEXTS = f"{HEAD}input 5 of {VALUES}\nsteps 3\nencode direct\nbody EMB16-POS-SN-c16k3-BN-SN-GAP-FC2\n"
RECIPE = "train on numpy-files {{\n epochs {}\n batch 16\n optimizer Adam(lr=0.03)\n loss {}\n{}}}\n"


def spec(text: str, loss: str = "CrossEntropy(to=next)", epochs: int = 1, more: str = "") -> str:
    return text + RECIPE.format(epochs, loss, more)


def write_sequences(folder: Path, samples: int = 64, **changes: Any) -> None:
    """Sequences in which each token is the previous one plus 2 or 3, depending on its parity."""
    random = np.random.default_rng(0)
    x = random.integers(VALUES, size=(samples, T))
    for t in range(1, T):
        x[:, t] = (x[:, t - 1] + 2 + x[:, t - 1] % 2) % VALUES
    np.savez(folder / "train.npz", **{"x": x.astype(np.uint16), **changes})
    np.savez(folder / "test.npz", **{"x": x[:16].astype(np.uint16), **changes})


@pytest.mark.parametrize(
    ("text", "loss"),
    [(NEXT, "CrossEntropy(to=next)"), (ROWS, "CrossEntropy(to=next)"), (FORECAST, "MSE(to=next)")],
)
def test_the_loss_of_the_next_input(text: str, loss: str) -> None:
    """Token by token, with torch's losses, in float64."""
    network = sewdsl.read(spec(text, loss, more=" label_smoothing 0.1\n")).result()
    model = sewdsl.compile(network, seed=0).double()
    real = network.settings.of is None
    shape = (T, 4, *network.settings.input)
    x = torch.randn(shape, dtype=torch.float64) if real else torch.randint(VALUES, shape, dtype=torch.uint8)
    batch = Samples(x, torch.zeros(4, dtype=torch.int64))
    readouts, total = total_loss(model, batch, network, {})
    y_TN = model(x, return_sequence=True)
    losses, smooth, right, count = [], [], 0, 0
    for t in range(T - 1):
        for n in range(4):
            if real:
                losses.append(functional.mse_loss(y_TN[t, n], x[t + 1, n]))
                continue
            columns = y_TN[t, n].reshape(VALUES, -1)
            for place, token in enumerate(x[t + 1, n].tolist()):
                target = torch.tensor(token)
                smooth.append(functional.cross_entropy(columns[:, place], target, label_smoothing=0.1))
                losses.append(functional.cross_entropy(columns[:, place], target))
                right += int(columns[:, place].argmax() == token)
                count += 1
    expected = torch.stack(smooth or losses).mean()
    torch.testing.assert_close(total, expected, rtol=1e-12, atol=0)
    evaluated = evaluate_batch(model, batch, network)[1]
    torch.testing.assert_close(evaluated, torch.stack(losses).mean(), rtol=1e-12, atol=0)
    for one, other in zip(
        *(torch.autograd.grad(each, list(model.parameters())) for each in (total, expected)), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    if not real:
        assert int((readouts[""].argmax(1) == target_classes(batch, network)).sum()) == right
        assert len(readouts[""]) == count


@pytest.mark.parametrize("first", ["CrossEntropy", "CrossEntropy(to=next)"])
def test_the_class_and_the_next_token_of_one_output(first: str) -> None:
    second = "CrossEntropy(to=next)" if first == "CrossEntropy" else "CrossEntropy"
    network = sewdsl.read(spec(NEXT, first, more=f" loss {second} 0.5x\n")).result()
    model = sewdsl.compile(network, seed=0).double()
    batch = Samples(torch.randint(VALUES, (T, 4, 1)), torch.arange(4))
    y_TN = model(batch.x, return_sequence=True)
    classes = functional.cross_entropy(y_TN.mean(0), batch.y)
    tokens = functional.cross_entropy(y_TN[:-1].flatten(0, 1), batch.x[1:].flatten())
    readouts, total = total_loss(model, batch, network, {})
    expected = classes + 0.5 * tokens if first == "CrossEntropy" else tokens + 0.5 * classes
    torch.testing.assert_close(total, expected, rtol=1e-12, atol=0)
    assert len(readouts[""]) == len(target_classes(batch, network)) == (4 if first == "CrossEntropy" else 4 * (T - 1))
    evaluated = evaluate_batch(model, batch, network)[1]
    torch.testing.assert_close(evaluated, classes if first == "CrossEntropy" else tokens, rtol=1e-12, atol=0)


def test_texts_back() -> None:
    assert "CrossEntropy(to=next)" in write_net(sewdsl.read(spec(NEXT)).result())
    assert "to=" not in write_net(sewdsl.read(spec(TEXTS, "CrossEntropy")).result())


@pytest.mark.parametrize("task", ["next", "class"])
def test_training_evaluation_report_and_resumption(task: str, tmp_path: Path) -> None:
    if task == "next":
        write_sequences(tmp_path)
        text, loss = NEXT, "CrossEntropy(to=next)"
    else:
        x = np.random.default_rng(0).integers(VALUES, size=(64, 5))
        text, loss = TEXTS, "CrossEntropy"
        for name in ("train", "test"):
            np.savez(tmp_path / f"{name}.npz", x=x.astype(np.int32), y=(x == 3).any(1).astype(np.int64))
    file = tmp_path / "net.net"
    file.write_text(spec(text, loss, epochs=8))
    whole = sewdsl.train_network(file, data=tmp_path, out=tmp_path / "whole", progress_bar=False)
    assert whole.result.accuracy > 0.8
    file.write_text(spec(text, loss, epochs=3))
    sewdsl.train_network(file, data=tmp_path, out=tmp_path / "part", progress_bar=False)
    resume_run(RunFolder(tmp_path / "part"), changes={"train.epochs": "8"})
    ours, theirs = (read_weights(RunFolder(tmp_path / name).last) for name in ("whole", "part"))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    evaluated = sewdsl.evaluate(tmp_path / "whole")
    assert evaluated.accuracy == whole.result.accuracy
    report = (tmp_path / "whole" / "report.html").read_text()
    assert f"{whole.result.accuracy:.2%}" in report
    printed = CliRunner().invoke(app, ["eval", str(tmp_path / "whole"), "--data", str(tmp_path)])
    assert not printed.exit_code
    assert f"accuracy {whole.result.accuracy:.2%} in the last epoch" in printed.output


@pytest.mark.parametrize(
    ("text", "loss", "more"),
    [
        (NEXT, "CrossEntropy(to=next)", " T_train 3\n"),
        (NEXT, "CrossEntropy(to=input)", ""),
        (NEXT, "KL(to=next)", ""),
        (f"{HEAD}input a 1 of 3\nsteps {T}\nbody a-EMB4-FC3\n", "CrossEntropy(to=next)", ""),
        (TEXTS, "CrossEntropy(to=next)", ""),
        (FORECAST, "CrossEntropy(to=next)", ""),
        (NEXT.replace(f"-FC{VALUES}", "-FC9"), "CrossEntropy(to=next)", ""),
        (ROWS.replace(f"c{VALUES}k1", "c9k1"), "CrossEntropy(to=next)", ""),
        (FORECAST.replace("-FC3", "-FC4"), "MSE(to=next)", ""),
    ],
)
def test_recipes_that_do_not_fit(text: str, loss: str, more: str) -> None:
    compilation = sewdsl.read(spec(text, loss, more=more))
    found = training_problems(compilation) or compilation.diagnostics
    check_words("\n".join(f"{each.code}: {each.message}\n{each.help}" for each in found))


@pytest.mark.parametrize(
    "x",
    [
        *(np.full((8, T), value) for value in (VALUES, -1, 0.5, np.nan, 1e300)),
        np.zeros((8, T + 1)),
        np.array("text"),
    ],
)
def test_arrays_that_do_not_fit(x: Any, tmp_path: Path) -> None:
    write_sequences(tmp_path, x=x)
    with raises(DataError):
        dataset_of(sewdsl.read(spec(NEXT)).result(), tmp_path).load()


def test_classes_are_required_only_by_their_losses(tmp_path: Path) -> None:
    write_sequences(tmp_path)
    train, test = dataset_of(sewdsl.read(spec(NEXT)).result(), tmp_path).load()
    assert train.batch(torch.arange(3)).x.shape == (T, 3, 1)
    assert (len(train.y), len(test.y)) == (64, 16)
    with raises(DataError):
        dataset_of(sewdsl.read(spec(TEXTS, "CrossEntropy")).result(), tmp_path).load()
