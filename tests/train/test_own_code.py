"""Code of one's own in a training: neurons and callbacks of plugin files, and what the run's folder says of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from typer.testing import CliRunner, Result

import sewdsl
from sewdsl.cli.app import app
from sewdsl.train.fit import checkpoints
from sewdsl.train.store.run_folder import RunError, RunFolder
from sewdsl.train.store.run_record import load_record
from tests.plugin_files import COUNTING, NET, NEURON, left_out, written
from tests.words import check_words, raises


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    with left_out():
        yield


def run(*arguments: object) -> Result:
    """The command, in a process that has imported nothing yet."""
    with left_out():
        return CliRunner().invoke(app, [str(argument) for argument in arguments])


def figures(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_says_what_code_it_was_made_with(tmp_path: Path) -> None:
    net = written(tmp_path / "own.net", NET.replace("NEURON", "FIF"))
    neuron, counting = written(tmp_path / "forgets.py", NEURON), written(tmp_path / "counts.py", COUNTING)
    out = tmp_path / "out"
    own = ("--plugin", neuron, "--plugin", counting)
    done = run("train", net, "--out", out, *own)
    assert done.exit_code == 0, done.output
    assert [row["epochs_counted"] for row in figures(out)] == ["1.0", "2.0"]
    noted = json.loads((out / "plugins.json").read_text("utf-8"))["files"]
    assert [file["copy_name"] for file in noted] == ["forgets.py", "counts.py"]
    assert str(tmp_path) not in (out / "plugins.json").read_text("utf-8")
    copies = out / "plugins" / "forgets.py", out / "plugins" / "counts.py"
    assert copies[0].read_text("utf-8") == NEURON
    assert load_record(RunFolder(out)).command.endswith("--plugin plugins/forgets.py --plugin plugins/counts.py")

    for words in (("eval", out), ("probe", "rates", out), ("train", "--resume", out, "--set", "train.epochs=3")):
        refused = run(*words)
        assert refused.exit_code == 1, refused.output
        assert (
            f"not imported automatically; if you trust them, add --plugin {copies[0]} --plugin {copies[1]}"
            in refused.stderr
        )
        assert "imported\n" not in refused.output

    judged = run("eval", out, "--plugin", copies[0], "--plugin", copies[1])
    assert (judged.exit_code, judged.stdout) == (0, judged.stdout)
    assert judged.stdout.startswith("accuracy ")
    assert "note" not in judged.stderr

    made = run("export", out, tmp_path / "alone", "--to", "folder", *own)
    assert made.exit_code == 0, made.output
    card = (tmp_path / "alone" / "README.md").read_text("utf-8")
    assert 'sewdsl.load_plugin("plugins/forgets.py")' in card.replace("'", '"')
    assert "sewdsl eval . --plugin plugins/forgets.py --plugin plugins/counts.py" in card
    assert "not imported automatically" in run("eval", tmp_path / "alone").stderr
    names = "forgets.py", "counts.py"
    copied = [each for name in names for each in ("--plugin", tmp_path / "alone" / "plugins" / name)]
    assert run("eval", tmp_path / "alone", *copied).stdout.startswith(judged.stdout[: len("accuracy 93.59%")])

    written(neuron, NEURON + "# more\n")
    other = run("eval", out, *own)
    assert other.exit_code == 0
    assert (
        f"note: 'forgets.py' has changed since the run in '{out}' started; the run has a copy, '{copies[0]}'"
        in other.stderr
    )
    refused = run("train", "--resume", out, "--set", "train.epochs=3", *own)
    assert refused.exit_code == 1
    check_words(refused.stderr)
    missing = run("eval", out, "--plugin", counting)
    assert f"add --plugin {copies[0]}" in missing.stderr

    more = run("train", "--resume", out, "--set", "train.epochs=3", "--plugin", copies[0], "--plugin", counting)
    assert more.exit_code == 0, more.output
    assert [row["epochs_counted"] for row in figures(out)] == ["1.0", "2.0", "3.0"]  # its state went on


CALLBACK = """\
import lightning.pytorch

class Mine(lightning.pytorch.Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        BODY

    def state_dict(self):
        return STATE

CALLBACKS
"""


@pytest.mark.parametrize(
    ("body", "state", "callbacks", "said"),
    [
        (
            "[].pop()",
            "{}",
            "def callbacks(): return [Mine()]",
            "line 5, in on_train_epoch_end: IndexError: pop from empty list",
        ),
        (
            "pass",
            "{'a': object()}",
            "def callbacks(): return [Mine()]",
            "cannot restore the state_dict() of the callback Mine",
        ),
        ("pass", "{}", "def callbacks(): return [3]", "lightning.pytorch.Callback objects, got builtins.int"),
        ("pass", "{}", "def callbacks(): return nosuch", "in callbacks: NameError: name 'nosuch' is not defined"),
        ("pass", "{}", "callbacks = [Mine()]", "'callbacks' must be a function"),
    ],
)
def test_a_callback_that_is_wrong_is_named(body: str, state: str, callbacks: str, said: str, tmp_path: Path) -> None:
    text = CALLBACK.replace("BODY", body).replace("STATE", state).replace("CALLBACKS", callbacks)
    file, net = written(tmp_path / "wrong_one.py", text), written(tmp_path / "own.net", NET.replace("NEURON", "LIF"))
    failed = run("train", net, "--out", tmp_path / "out", "--set", "train.epochs=1", "--plugin", file)
    assert failed.exit_code == 1
    assert said in failed.stderr
    assert "Traceback" not in failed.stderr
    assert f"sewdsl train --resume {tmp_path / 'out'} --plugin {file}" in failed.stderr


class Noting(Callback):
    """Notes what it is told, and has a state."""

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 -- a hook
        self.epochs.append(trainer.current_epoch)

    def state_dict(self) -> dict[str, object]:
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        self.epochs = list(state_dict["epochs"])  # type: ignore[call-overload]


class Failing(Callback):
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002 -- a hook
        message = "mine"
        raise KeyError(message)


def test_a_script_trains_with_callbacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = written(tmp_path / "own.net", NET.replace("NEURON", "LIF"))
    noting = Noting()
    done = sewdsl.train_network(net, tmp_path / "out", callbacks=[noting], progress_bar=False)
    assert noting.epochs == [0, 1]
    assert done.folder == tmp_path / "out"
    assert done.result == RunFolder(done.folder).read_result()
    assert capsys.readouterr().err == ""
    after = Noting()
    more = sewdsl.resume_training(done.folder, epochs=3, callbacks=[after], progress_bar=False)
    assert (after.epochs, more.result.epochs) == ([0, 1, 2], 3)
    assert checkpoints.read_state(RunFolder(done.folder).state)["callbacks"]["Noting"] == {"epochs": [0, 1, 2]}
    with raises(RunError):
        sewdsl.train_network(net, tmp_path / "out")
    with pytest.raises(KeyError, match="mine"):  # a script sees its own errors as they are
        sewdsl.train_network(net, tmp_path / "failed", callbacks=[Failing()], progress_bar=False)


def test_a_callback_may_end_it_early(tmp_path: Path) -> None:
    net = written(tmp_path / "own.net", NET.replace("NEURON", "LIF").replace("epochs 2", "epochs 9"))
    stopping = EarlyStopping("test_accuracy", min_delta=1.0, patience=1, mode="max")
    done = sewdsl.train_network(net, tmp_path / "out", callbacks=[stopping], progress_bar=False)
    assert done.result.epochs == 2
    assert len(figures(done.folder)) == 2


def test_objects_that_are_no_callbacks(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"expected lightning\.pytorch\.Callback objects, got 5"):
        sewdsl.train_network("mnist5k", tmp_path / "out", callbacks=[5], progress_bar=False)  # type: ignore[list-item]
    assert not (tmp_path / "out").exists()


def test_callbacks_alone_change_no_bit(tmp_path: Path) -> None:
    net = written(tmp_path / "own.net", NET.replace("NEURON", "LIF"))
    plain = sewdsl.train_network(net, tmp_path / "plain", progress_bar=False)
    noted = sewdsl.train_network(net, tmp_path / "noted", callbacks=[Noting()], loggers=[], progress_bar=False)
    assert RunFolder(plain.folder).last.read_bytes() == RunFolder(noted.folder).last.read_bytes()
    assert not (plain.folder / "plugins.json").exists()


PLAIN = """
import torch
from sewdsl.train.data import DataSet, Splits
from sewdsl.train.data.dataset import Images, Normalisation, Samples


class Noise(DataSet, name="noise"):
    shape, classes = (1, 8, 8), 2

    def normalisation(self):
        return {normalisation}

    def load(self):
        x = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        samples = {samples}
        return Splits(samples, samples)
"""
CHANGED = """sewdsl 1
input 1x8x8
steps 2
encode direct
body c2k3-BN-LIF-FC2

train on noise {
    epochs 1
    optimizer SGD(lr=0.1)
    CHANGES
}
"""


@pytest.mark.parametrize(
    ("samples", "changes", "named"),
    [
        ("Samples(x, torch.arange(8) % 2)", "shift 1\n    flip on", "shift and flip"),
        ("Samples(x, torch.arange(8) % 2)", "augment ColorJitter(brightness=0.5)", "ColorJitter"),
        ("Samples(x, torch.arange(8) % 2)", "augment RandomErasing", ""),
        ("Images(x, torch.arange(8) % 2, self.normalisation(), self.setup.augmentation)", "shift 1", ""),
    ],
)
def test_changes_that_samples_ignore_are_warned_of(samples: str, changes: str, named: str, tmp_path: Path) -> None:
    net = written(tmp_path / "noise.net", CHANGED.replace("CHANGES", changes))
    done = run(
        "train",
        net,
        "--out",
        tmp_path / "out",
        "--plugin",
        written(tmp_path / "noise.py", PLAIN.format(samples=samples, normalisation="Normalisation()")),
    )
    assert done.exit_code == 0, done.output
    warning = f"warning: dataset noise ignores {named}: it loads Samples, which are not augmented, not Images"
    assert [line for line in done.stderr.splitlines() if "noise ignores" in line] == ([warning] if named else [])


def test_images_have_the_scaling_that_exports_read(tmp_path: Path) -> None:
    net = written(tmp_path / "noise.net", CHANGED.replace("CHANGES", ""))
    images = "Images(x, torch.arange(8) % 2, Normalisation((0.5,), (0.25,)))"
    plugin = written(tmp_path / "noise.py", PLAIN.format(samples=images, normalisation="None"))
    done = run("train", net, "--out", tmp_path / "out", "--plugin", plugin)
    assert done.exit_code == 1
    check_words(done.stderr)
