"""Arguments of the loop, and its progress display."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from torch.nn.functional import cross_entropy

from sewdsl.compiler import compile, read
from sewdsl.source import Source
from sewdsl.train.data.batches import Batches
from sewdsl.train.data.dataset import Reading, Samples
from sewdsl.train.data.split import split_off_validation
from sewdsl.train.fit.lightning_loop import RunOptions, _batches
from sewdsl.train.fit.processes import Processes
from sewdsl.train.fit.run_weights import read_weights
from sewdsl.train.fit.train_run import start_run
from sewdsl.train.report import pictures
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.training_plan import plan_training
from tests.words import raises

from .conftest import SMALL


def test_more_processes_than_samples() -> None:
    planned = plan_training(read(Source("small.net", SMALL)))
    parts = split_off_validation(planned.data.load(), 0.0, 0)
    training, judged = _batches(parts, planned.recipe, 1, 2)
    assert len(training) > 0
    assert len(judged) > 0
    with raises(RunError):
        _batches(parts, planned.recipe, 9999, 10000)


def test_batches_know_where_they_are_wanted(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batches are those of training, of the evaluation after each epoch, and of the final test."""
    known: dict[int, set[tuple[torch.device | None, int | None]]] = {}
    usual = Batches.__iter__

    def note(batches: Batches) -> Iterator[Samples]:
        known.setdefault(len(batches.samples.y), set()).add((batches.device, batches.readers))
        return usual(batches)

    monkeypatch.setattr(Batches, "__iter__", note)
    spec = read(small, set={"train.epochs": 1, "train.batch": 500, "train.validation": 0.2})
    options = RunOptions(processes=Processes(accelerator="cpu"), reading=Reading(readers=1))
    start_run(spec, plan_training(spec), RunFolder(tmp_path), options)
    assert known == {length: {(torch.device("cpu"), 1)} for length in (1150, 288, 359)} | {16: {(None, 1)}}


@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_an_incomplete_group_of_batches_is_divided_by_its_size(accumulate: int, tmp_path: Path) -> None:
    """Three batches of an epoch: the last step of the optimizer has 1, 1 and 3 of them."""
    recipe = f"epochs 2\n batch 500\n accumulate {accumulate}\n optimizer SGD(lr=0.1, momentum=0.0)\n"
    text = f"sewdsl 1\ninput 1x8x8\nsteps 1\nbody FC10\ntrain on digits {{\n {recipe} schedule none\n}}\n"
    compilation = read(Source("linear.net", text))
    planned = plan_training(compilation)
    start_run(compilation, planned, RunFolder(tmp_path), RunOptions(processes=Processes(accelerator="cpu")))

    model = compile(planned.network, seed=planned.recipe.seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    parts = split_off_validation(planned.data.load(), 0.0, 0)
    batches, _ = _batches(parts, planned.recipe, 0, 1)
    for epoch in range(2):
        batches.epoch = epoch
        samples = [*batches]
        assert len(samples) == 3
        for first in range(0, 3, accumulate):
            group = samples[first : first + accumulate]
            optimizer.zero_grad()
            torch.stack([cross_entropy(model(x), y) for x, y in group]).mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    trained = read_weights(RunFolder(tmp_path).last)
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(trained[name], weight, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("judged", ["validation", "test"])
def test_every_part_that_was_judged_has_a_curve(judged: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    savefig = Figure.savefig

    def noted(self: Figure, *arguments: object, **options: object) -> None:
        drawn.append(self)
        savefig(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Figure, "savefig", noted)
    row = {f"{part}_{quantity}": 0.5 for part in ("train", judged) for quantity in ("loss", "accuracy")}
    pictures.draw_png({1: row, 2: row}, "Small", tmp_path / "curves.png")
    labels = [[line.get_label() for line in axes.get_lines()] for axes in drawn[0].axes]
    assert labels == [["train", judged], ["train", judged]]
