"""Options that no command has."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from sewdsl.cli.app import app


def said(*arguments: str) -> str:
    """The usage error, in one line."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 2
    return " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("command", "option", "key"),
    [
        ("check", "--join", "join"),
        ("train", "--epochs", "train.epochs"),
        ("train", "--lr", "train.optimizer.lr"),
        ("train", "--T-train", "train.T_train"),
        ("show", "--batch-size", "train.batch"),
        ("export", "--tau", "neuron.tau"),
    ],
)
@pytest.mark.parametrize("joined", [False, True])
def test_a_setting_is_no_option(command: str, option: str, key: str, joined: bool) -> None:  # noqa: FBT001
    given = [f"{option}=3"] if joined else [option, "3"]
    assert f"unknown option {option}; use --set {key}=VALUE" in said(command, "tiny", *given)


def test_what_takes_no_settings_does_not_speak_of_them() -> None:
    assert said("runs", "--epochs", "3").endswith("error: unknown option --epochs")


def test_other_usage_errors_stay() -> None:
    assert said("check", "tiny", "--inputs", "3").endswith("error: unknown option --inputs; did you mean '--input'?")
    assert said("check", "tiny", "--input").endswith("error: --input requires a value: CxHxW")
    assert said("show", "tiny", "--costs", "1").endswith("error: --costs requires 2 values: MAC AC")
    assert said("draw", "tiny", "--direction").endswith("error: --direction requires a value: TB or LR")
    assert said("notation", "tiny", "--to", "latex").endswith("error: unknown option --to; did you mean '--as'?")
    assert said("export", "tiny", "a", "--format", "nir").endswith(
        "error: unknown option --format; did you mean '--to'?"
    )
    assert said("train", "--resume", "run", "--out", "new").endswith(
        "error: --resume cannot be combined with --out; only --set train.epochs=N can change the run"
    )
    assert said("show", "tiny", "--set", "steps").endswith(
        "error: --set must be KEY=VALUE, e.g. --set steps=8, got 'steps'"
    )
