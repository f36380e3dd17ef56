"""Networks on the command lines of benchmarks, and the errors of users that they print."""

from __future__ import annotations

import sys

import pytest
import torch

import sewdsl
from benchmarks import events, passes
from benchmarks.networks import name_and_input, printed_errors
from sewdsl.user_error import UserError


def test_name_and_input() -> None:
    assert name_and_input("7b-net") == ("7b-net", None)
    assert name_and_input("sew-resnet-18:64") == ("sew-resnet-18", "3x64x64")


@pytest.mark.parametrize("benchmark", [events, passes])
def test_unknown_networks(
    benchmark: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The settings of a benchmark hold for its process.
    monkeypatch.setattr(sewdsl, "keep_memory", lambda: None)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["benchmark", "tiny", "no-such-network"])
    with pytest.raises(SystemExit) as stopped:
        passes.main(sys.argv[1:]) if benchmark is passes else events.main()
    assert stopped.value.code == 1
    printed = capsys.readouterr()
    assert "spec-not-found" in printed.err
    # The error comes before the first measurement.
    assert "tiny" not in printed.out


def test_rejected_networks() -> None:
    with pytest.raises(SystemExit) as stopped, printed_errors(["tiny"]):
        raise UserError("relu1: ReLU reads currents")
    assert stopped.value.code == "error: relu1: ReLU reads currents"
