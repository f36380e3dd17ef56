"""The measurement of exported models runs, and times nothing that computes something else."""

import sys
from importlib.util import find_spec

import pytest
import torch

from benchmarks import exported

ENGINES = ["onnxruntime", *(["OpenVINO"] if find_spec("openvino") else [])]


def test_small(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(exported, "ROUNDS", 1)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # other tests keep theirs
    monkeypatch.setattr(sys, "argv", ["exported", "tiny", "2"])
    exported.main()
    said = capsys.readouterr().out.splitlines()
    names = ["sewdsl", *(f"{engine}{words}" for words in exported.FORMS for engine in ENGINES)]
    assert [line.partition(":")[0] for line in said] == names
    assert said[0].endswith(" ms, 1.00 times")


@pytest.mark.parametrize("value", [0.0, torch.nan])
def test_what_differs_is_not_timed(monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    monkeypatch.setattr(exported, "in_onnxruntime", lambda _, x: lambda: torch.full((x.shape[-4], 1), value))
    with pytest.raises(ValueError, match=r"onnxruntime differs by .* of the spread of the logits: it is not timed"):
        exported.measure("tiny", 2, 1)


def test_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["exported"])
    with pytest.raises(SystemExit, match=r"python -m benchmarks\.exported 7b-net 4"):
        exported.main()
