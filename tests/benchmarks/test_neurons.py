"""The measurement of neurons as equations runs."""

import sys

import pytest
import torch

from benchmarks import neurons


def test_small(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(neurons, "ROUNDS", 1)
    monkeypatch.setattr(neurons, "SHAPE", (1, 2, 3, 3))
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # other tests keep theirs
    monkeypatch.setattr(sys, "argv", ["neurons", "LIF"])
    neurons.main()
    said = capsys.readouterr().out.splitlines()[1:]
    assert [line.partition(":")[0] for line in said] == ["LIF, generated", "LIF, loop", "LIF, kernel of the kind"]


def test_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["neurons", "LIFF"])
    with pytest.raises(SystemExit, match=r"python -m benchmarks\.neurons CUBA LIF PLIF"):
        neurons.main()
