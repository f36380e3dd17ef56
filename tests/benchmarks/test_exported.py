"""The measurement of exported models runs."""

import sys

import pytest
import torch

from benchmarks import exported


def test_small(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(exported, "ROUNDS", 1)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # other tests keep theirs
    monkeypatch.setattr(sys, "argv", ["exported", "tiny", "2"])
    exported.main()
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in said] == ["sewdsl", "onnx", "onnx-unrolled"]
    assert said[0].endswith(" ms, 1.00 times")


def test_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["exported"])
    with pytest.raises(SystemExit, match=r"python -m benchmarks\.exported 7b-net 4"):
        exported.main()
