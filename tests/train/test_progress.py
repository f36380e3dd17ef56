"""The progress bar of a terminal."""

import io
from pathlib import Path

import pytest
import rich
from rich.console import Console

from sewdsl.compiler import read
from sewdsl.train.folder import RunFolder
from sewdsl.train.loop import Way
from sewdsl.train.plan import plan
from sewdsl.train.progress import Bar
from sewdsl.train.run import train


def test_bar(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rich, "_console", Console())  # the bar changes the console of the whole program
    out = io.StringIO()
    bar = Bar(console_kwargs={"file": out, "force_terminal": True, "width": 150})
    compilation = read(small, set={"train.epochs": 1})
    train(compilation, plan(compilation), RunFolder(tmp_path), Way([bar]))
    for text in ("epoch 1/1", "loss: ", "accuracy: ", "samples/s: "):
        assert text in out.getvalue()
    assert "v_num" not in out.getvalue()
