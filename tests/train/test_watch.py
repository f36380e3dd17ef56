"""Measurements during training."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.nn import Linear, Sequential

from sewdsl.compiler import load
from sewdsl.train.fit.lightning_loop import Confusion
from sewdsl.train.store import measurements
from sewdsl.train.watch import DeadLayers, gradient_norms

from .conftest import Run


class TestRun:
    def test_table(self, run: Run) -> None:
        network = load(run.folder.spec)
        weighted = {f"gradient_norm/{node.name}" for node in network if network.parameters(node)}
        rates = {f"firing_rate/{name}" for name in run.result.firing_rates}
        found = measurements.read_metrics(run.folder.metrics)
        assert len(found) == 2
        for row in found.values():
            assert {name for name in row if "/" in name} == {*weighted, *rates, "gradient_norm/total"}
            total = sum(row[name] ** 2 for name in weighted) ** 0.5
            assert row["gradient_norm/total"] == pytest.approx(total, rel=1e-5)
            assert total > 0

    def test_the_last_epoch_fires_as_the_result_says(self, run: Run) -> None:
        """Both are of the last weights and all test samples."""
        last = measurements.read_metrics(run.folder.metrics)[2]
        for name, rate in run.result.firing_rates.items():
            assert last[f"firing_rate/{name}"] == pytest.approx(rate, abs=1e-6)

    def test_tensorboard(self, run: Run) -> None:
        events = EventAccumulator(str(run.folder.path / "tensorboard"))
        events.Reload()
        tags = set(events.Tags()["scalars"])
        assert {"firing_rate/plif1", "gradient_norm/conv1", "gradient_norm/total", "learning_rate"} <= tags
        assert len(events.Scalars("firing_rate/plif1")) == len(events.Scalars("gradient_norm/total")) == 2

    def test_confusion(self, run: Run) -> None:
        found = json.loads(run.folder.confusion.read_text("utf-8"))
        assert found["classes"] == [str(digit) for digit in range(10)]
        counts = torch.tensor(found["counts"])
        assert counts.shape == (10, 10)
        assert counts.sum() == 359
        assert counts.diagonal().sum().item() / 359 == pytest.approx(run.result.accuracy)


class TestConfusion:
    def test_rows_are_classes(self) -> None:
        logits = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
        counter: Any = Confusion()
        counter.on_validation_batch_end(None, None, logits, (None, torch.tensor([0, 0, 0, 1])), 0)
        assert counter.counts.tolist() == [[1, 0, 2], [0, 1, 0], [0, 0, 0]]

    def test_batches_add_up(self) -> None:
        counter: Any = Confusion()
        for _batch in range(3):
            counter.on_validation_batch_end(None, None, torch.eye(2), (None, torch.tensor([0, 0])), 0)
        assert counter.counts.tolist() == [[3, 3], [0, 0]]


def test_norms() -> None:
    model = Sequential(Linear(2, 2), Linear(2, 1))
    assert gradient_norms(model) == {}
    model[0].weight.grad = torch.tensor([[1.0, 2.0], [2.0, 0.0]])
    model[0].bias.grad = torch.tensor([4.0, 0.0])
    model[1].bias.grad = torch.tensor([12.0])
    assert gradient_norms(model) == pytest.approx({"0": 5.0, "1": 12.0, "total": 13.0})


class TestDeadLayers:
    CURE = "lower v_threshold, raise the gain or the learning rate, or add a batch norm before neurons without one"

    def said(self, *passes: dict[str, float], epochs: int = 100) -> list[str]:
        lines: list[str] = []
        watch: Any = DeadLayers(lines.append)
        for epoch, rates in enumerate(passes):
            logged = {f"firing_rate/{name}": torch.tensor(rate) for name, rate in rates.items()}
            trainer = SimpleNamespace(
                callback_metrics={**logged, "test_loss": torch.tensor(0.0)},
                current_epoch=epoch,
                max_epochs=epochs,
                is_global_zero=True,
            )
            watch.on_validation_end(trainer, None)
        return lines

    def test_each_is_named_once(self) -> None:
        a, b = {"a": 0.001, "b": 0.2}, {"a": 0.5, "b": 0.009}
        assert self.said(a, a, a, b, b, a, a) == [
            f"warning: firing rate below 1% in epoch 2: a (0.10%); {self.CURE}",
            f"warning: firing rate below 1% in epoch 5: b (0.90%); {self.CURE}",
        ]

    def test_one_that_wakes_is_not_named(self) -> None:
        assert self.said({"a": 0.0}, {"a": 0.5}, {"a": 0.0}, {"a": 0.005}, {"a": 0.009}, {"a": 0.5}) == []

    def test_after_the_last_epoch(self) -> None:
        said = f"warning: firing rate below 1% in epoch 1: a (0.00%), b (0.10%); {self.CURE}"
        assert self.said({"a": 0.0, "b": 0.001}, epochs=1) == [said]

    def test_of_many_some_are_named(self) -> None:
        (said,) = self.said({f"if{number}": 0.0 for number in range(40)}, epochs=1)
        assert "if3 (0.00%), if4 (0.00%) and 35 more; lower" in said

    def test_one_in_a_hundred_is_enough(self) -> None:
        assert self.said({"a": 0.0101}, {"a": 0.0101}, epochs=2) == []
