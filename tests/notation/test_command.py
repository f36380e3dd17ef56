"""``sewdsl notation``."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

import sewdsl
from sewdsl.cli.app import app
from tests.notation.same import essence

SEVEN = "c32k3s1-BN-PLIF-{SEW Block (c32)-MPk2s2}*7-FC11"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["notation", *arguments])


def test_plain() -> None:
    result = run("7b-net")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{SEVEN}\n", "")


def test_options() -> None:
    result = run("c4k3-BN-SN", "--input", "2x8x8", "--neuron", "LIF(tau=3.0)", "--steps", "7", "--as", "net")
    assert result.stdout.splitlines()[2:] == [
        'network "network"',
        "input   2x8x8",
        "steps   7",
        "neuron  LIF(tau=3.0)",
        "body    c4k3s1-BN-LIF",
    ]


def test_file(tmp_path: Path) -> None:
    """The ending says the form."""
    file = tmp_path / "seven.net"
    result = run("7b-net", "--out", str(file))
    assert (result.exit_code, result.stdout) == (0, f"{file}: 7B-Net as net\n")
    assert essence(sewdsl.load(file)) == essence(sewdsl.load("7b-net"))
    assert run("7b-net", "--as", "plain", "--out", str(file), "--overwrite").exit_code == 0
    assert file.read_text(encoding="utf-8") == f"{SEVEN}\n"


def test_what_is_wrong() -> None:
    assert run("7b-net", "--as", "latin").exit_code == 2
    assert "--as must be plain, net" in run("7b-net", "--as", "latin").stderr
    assert run("c4k3-BNPLIF", "--input", "2x8x8").exit_code == 1
    said = "error: cannot write '/nowhere/seven.net': there is no folder '/nowhere'\n"
    assert run("7b-net", "--out", "/nowhere/seven.net").stderr == said
