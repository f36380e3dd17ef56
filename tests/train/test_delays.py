"""Training of learned delays: their learning rate, their width, their range, and resumed runs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import sewdsl
from sewdsl.compiler import read
from sewdsl.snn.time_filters import DelayedLinear
from sewdsl.source import Source
from sewdsl.train.fit.classifier import Classifier, weight_groups
from sewdsl.train.fit.lightning_loop import RunOptions
from sewdsl.train.fit.train_run import evaluate_run, resume_run, start_run
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.training_plan import plan_training
from tests.words import check_words, raises

from .test_survival import BATCHES, At, assert_same, copy_folder

if TYPE_CHECKING:
    from torch import nn

DELAYED = """\
sewdsl 1
network "Delayed"
input   1x8x8
steps   4
encode  direct
body    DFC16(reach=3)-BN-PLIF-DFC10b0(reach=3)

train on digits {
    epochs 2
    batch 200
    optimizer Adam(lr=0.05)
    lr *.delay 100x
    delay_width Shrink(to=0.5, until=0.5)
}
"""


class Trained:
    """A run, the widths and delays at each batch, and copies of its folder."""

    def __init__(self, path: Path) -> None:
        file = path / "delayed.net"
        file.write_text(DELAYED, "utf-8")
        self.widths: list[float] = []
        self.outside = 0
        self.folder, self.killed = RunFolder(path / "run"), (path / "killed-1", path / "killed-2")
        self.folder.path.mkdir()
        shown = [At(batch, self.look) for batch in range(2 * BATCHES)]
        shown += [
            At(batch, partial(copy_folder, self.folder.path, to))
            for batch, to in zip((BATCHES // 2, BATCHES + 3), self.killed, strict=True)
        ]
        compilation = read(file)
        start_run(compilation, plan_training(compilation), self.folder, RunOptions(shown, save_every=0))

    def look(self, module: nn.Module) -> None:
        layer = module.get_submodule("model.dfc1")
        assert isinstance(layer, DelayedLinear)
        self.widths.append(layer.width.item())
        self.outside += int(((layer.delay < 0) | (layer.delay > 2)).sum())


@pytest.fixture(scope="module")
def delayed(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(tmp_path_factory.mktemp("delayed"))


def test_widths_and_delays(delayed: Trained) -> None:
    assert delayed.widths == pytest.approx([1.5] * BATCHES + [0.5] * BATCHES)
    assert not delayed.outside


def test_evaluation_rounds_delays(delayed: Trained) -> None:
    again = evaluate_run(delayed.folder)
    assert again.measured == again.reported


@pytest.mark.parametrize("epoch", [0, 1], ids=["in the first epoch", "in the second"])
def test_a_run_goes_on_bit_for_bit(delayed: Trained, epoch: int) -> None:
    folder = RunFolder(delayed.killed[epoch])
    resume_run(folder)
    assert_same(folder, delayed.folder)


def test_the_widths_of_past_epochs_stay(delayed: Trained, tmp_path: Path) -> None:
    copy_folder(delayed.folder.path, tmp_path / "run", None)
    (tmp_path / "run" / "result.json").unlink()
    with raises(RunError):
        resume_run(RunFolder(tmp_path / "run"), changes={"train.epochs": "6"})


def groups(text: str) -> tuple[dict[str, float], set[str]]:
    """The learning rates by parameter, and the parameters without gradients."""
    network = read(Source("net", text)).result()
    model = sewdsl.compile(network, seed=0)
    assert network.recipe is not None
    Classifier(model, network.recipe).setup("fit")
    groups_of_weights = [group for group in weight_groups(model, network.recipe) if isinstance(group, Mapping)]
    rates = {weight: group["lr"] for group in groups_of_weights for weight in group["params"]}
    named = dict(model.named_parameters())
    return (
        {name: rates[weight] for name, weight in named.items() if weight in rates},
        {name for name, weight in named.items() if not weight.requires_grad},
    )


def test_patterns_of_parameters() -> None:
    rates, frozen = groups(DELAYED.replace("    lr", "    freeze *.bias dfc2.weight\n    lr"))
    assert rates == {
        "dfc1.weight": 0.05,
        "dfc1.delay": 5.0,
        "dfc2.delay": 5.0,
        "bn1.weight": 0.05,
        "plif1.w": 0.05,
        **({"bn1.bias": 0.05} if "bn1.bias" not in frozen else {}),
    }
    assert {"dfc1.bias", "dfc2.weight"} <= frozen


def test_errors() -> None:
    texts = (
        DELAYED.replace("DFC16(reach=3)", "FC16").replace("DFC10b0(reach=3)", "FC10"),
        DELAYED.replace("*.delay", "*.delays"),
        DELAYED.replace("to=0.5", "to=0"),
        DELAYED.replace("Shrink(to=0.5, until=0.5)", "Cosine"),
        DELAYED.replace("(reach=3)", ""),
    )
    found = [diagnostic for text in texts for diagnostic in read(Source("net", text)).diagnostics]
    assert {each.code for each in found} == {"invalid-argument", "unknown-name", "missing-argument"}
    check_words("\n".join(f"{each.message}; {each.help}" for each in found))
