"""The progress bar of a terminal."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
import rich
from rich.console import Console

from sewdsl.compiler import read
from sewdsl.source import Source
from sewdsl.train.fit.callbacks import Bar, EpochLines
from sewdsl.train.fit.lightning_loop import RunOptions
from sewdsl.train.fit.train_run import start_run
from sewdsl.train.store.run_folder import RunFolder
from sewdsl.train.training_plan import plan_training

from .conftest import SMALL

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal(io.StringIO):
    """Text and control sequences; knows what is left on the screen."""

    def lines(self) -> list[str]:
        """Every line that was ever shown, drawn over or not."""
        return [CONTROL.sub("", part).rstrip() for part in re.split(r"[\r\n]", self.getvalue())]

    def screen(self) -> str:
        """Return the final screen: rich draws one line, and returns to its start to draw or erase it."""
        left, line = [], ""
        for part in re.findall(r"\x1b\[2K|\x1b\[1A|\r|\n|\x1b\[[0-9;?]*[A-Za-z]|[^\x1b\r\n]+", self.getvalue()):
            match part:
                case "\n":
                    left.append(line)
                    line = ""
                case "\x1b[1A":
                    line = left.pop()
                case "\x1b[2K":
                    line = ""
                case _ if not CONTROL.fullmatch(part) and part != "\r":
                    line += part
        return "\n".join([*left, line]).strip()


class Eager(Bar):
    """Draws after every batch, however fast the machine is."""

    def _show(self, *arguments: Any) -> None:
        super()._show(*arguments)
        assert self._live is not None
        self._live.refresh()


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (100, ("/15", "loss ", "accuracy ", " left", " samples/s")),
        (80, ("/15", "loss ", "accuracy ", " left", " samples/s")),
        (60, ("/15", "loss ", "accuracy ")),
        (40, ("/15", "loss ")),
    ],
)
def test_it_fits_and_leaves_nothing(
    width: int, shown: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, folder = Terminal(), RunFolder(tmp_path / "run")
    folder.path.mkdir()
    monkeypatch.setattr(rich, "_console", Console(file=out, force_terminal=True, width=width))
    spec = tmp_path / "two_layers.net"
    spec.write_text(SMALL.replace("c4k3-BN-PLIF-{SEW Block-MPk2s2}*2-FC10", "IF-FC10"), "utf-8")
    compilation = read(spec, set={"train.epochs": 1, "train.batch": 100})
    start_run(compilation, plan_training(compilation), folder, RunOptions([Eager(), EpochLines()]))
    drawn = [line for line in out.lines() if "/15" in line]
    assert drawn
    assert all(len(line) < width for line in out.lines())
    assert all(line.startswith("epoch 1/1 ") for line in drawn)
    figures = ("/15", "loss ", "accuracy ", " left", " samples/s")
    assert [text for text in figures if text in drawn[-1]] == list(shown)
    assert any(line.startswith("epoch 1/1 test ") for line in out.lines())
    assert re.fullmatch(r"epoch 1/1 +loss \d\.\d{4} +accuracy +[\d.]+%\s+test +[\d.]+% +[\d.]+ s", out.screen())


def test_a_run_without_classes_has_no_accuracy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, folder = Terminal(), RunFolder(tmp_path)
    monkeypatch.setattr(rich, "_console", Console(file=out, force_terminal=True, width=100))
    recipe = "train on digits {\n epochs 1\n batch 500\n optimizer Adam(lr=0.01)\n loss MSE(to=input)\n}\n"
    compilation = read(Source("auto.net", f"sewdsl 1\ninput 1x8x8\nsteps 1\nbody c2k3-ReLU-c1k3\n{recipe}"))
    start_run(compilation, plan_training(compilation), folder, RunOptions([Eager(), EpochLines()]))
    assert any("loss " in line for line in out.lines())
    assert not any("accuracy" in line for line in out.lines())
