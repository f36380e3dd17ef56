"""``--plugin FILE.py`` and ``sewdsl.load_plugin``: what a file of one's own defines is known; what is wrong is said."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import sewdsl
from sewdsl import plugins
from sewdsl.checks import check
from sewdsl.cli.app import COMMANDS, app
from sewdsl.diagnostics import SewdslError
from sewdsl.plugins import PluginError
from sewdsl.serve.pool import Worker
from sewdsl.train.data import find_dataset
from tests.plugin_files import NEURON, left_out, written
from tests.words import raises

ROOT = Path(__file__).parents[2]
SPEC = "c8k3-BN-FIF-FC3"


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    with left_out():
        yield


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_every_command_imports_it_first(tmp_path: Path) -> None:
    for command in (*COMMANDS, "weights convert", "weights show"):
        refused = run(*command.split(), "--help")
        assert "--plugin" in refused.stdout, command
    file = written(tmp_path / "mine.py", NEURON)
    assert run("check", SPEC, "--input", "2x8x8").exit_code == 1
    shown = run("show", SPEC, "--input", "2x8x8", "--json", "--plugin", file)
    assert (shown.exit_code, shown.stderr) == (0, "imported\n")
    assert [row["kind"] for row in json.loads(shown.stdout)["layers"]].count("FIF") == 1
    kinds = run("nets", "--kinds", "--plugin", file)
    assert "FIF " in kinds.stdout
    assert kinds.stderr == ""  # it is imported once


def test_what_reads_and_draws_stays_without_torch(tmp_path: Path) -> None:
    file = written(tmp_path / "mine.py", NEURON)
    program = f"""
import sys
sys.argv[1:] = ["check", "{SPEC}", "--input", "2x8x8", "--plugin", {str(file)!r}]
from sewdsl.cli.app import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
assert not {{"torch", "lightning"}} & sys.modules.keys()
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "imported\n")


WRONG = {
    "raises": (
        "def f():\n    return 1 / 0\n\nf()\n",
        "line 2, in f: ZeroDivisionError: division by zero\n  return 1 / 0",
    ),
    "syntax": ("x = 1\nclass\n", "line 2: SyntaxError: invalid syntax\n  class"),
    "ends": ("import sys\nsys.exit(3)\n", "line 2: SystemExit: 3\n  sys.exit(3)"),
    "needs": ("import nosuch_module\n", "line 1: ModuleNotFoundError: No module named 'nosuch_module'"),
    "abstract": (
        "from sewdsl.ir.op import Neuron\nclass Bad(Neuron, kind='BAD'): ...\n",
        ": BAD does not define charge",
    ),
    "schema": (
        (
            "import io\nfrom sewdsl.ops.neurons.integrate_and_fire import IF\n"
            "class Bad(IF, kind='BAD'):\n    start: io.StringIO\n"
        ),
        ": BAD: Unable to generate pydantic-core schema for <class '_io.StringIO'>",
    ),
    "twice": (
        "from sewdsl.ir.op import Neuron\nclass Bad(Neuron, kind='LIF'): ...\n",
        "line 2: TypeError: kind 'LIF' is defined twice: sewdsl.ops.neurons.integrate_and_fire.LIF and twice.Bad",
    ),
    "data": (
        "from sewdsl.train.data.dataset import DataSet\nclass Bad(DataSet, name='bad'):\n    shape = (1, 8, 8)\n",
        ": bad does not define classes, load",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_in_a_file_is_a_usage_error(name: str, tmp_path: Path) -> None:
    text, said = WRONG[name]
    file = written(tmp_path / f"{name}.py", text)
    refused = run("check", "c8k3-BN-LIF-FC3", "--input", "2x8x8", "--plugin", file)
    assert refused.exit_code == 2
    assert refused.stdout == ""
    assert f"error: '{file}'" in refused.stderr
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not plugins.plugin_files()
    assert name not in sys.modules
    assert "BAD" not in sewdsl.ir.kind.CATALOGUE
    assert find_dataset("bad") is None


def test_names_that_are_taken(tmp_path: Path) -> None:
    with raises(PluginError):
        sewdsl.load_plugin(written(tmp_path / "json.py", ""))
    first, other = written(tmp_path / "own.py", ""), written(tmp_path / "other" / "own.py", "x = 1\n")
    sewdsl.load_plugin(first)
    with raises(PluginError, "2"):
        sewdsl.load_plugin(other)
    with raises(PluginError, "3"):
        sewdsl.load_plugin(written(tmp_path / "own.txt", ""))
    with raises(PluginError, "4"):
        sewdsl.load_plugin(tmp_path / "nosuch.py")
    beside = written(tmp_path / "beside.py", "")
    sewdsl.load_plugin(written(tmp_path / "user.py", "import beside\n"))
    with raises(PluginError, "5"):
        sewdsl.load_plugin(beside)
    del sys.modules["beside"]


def test_an_interrupted_import_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        sewdsl.load_plugin(written(tmp_path / "slow.py", "raise KeyboardInterrupt\n"))
    assert not plugins.plugin_files()
    assert "slow" not in sys.modules


def decay() -> float:
    """Return the decay of the neuron in the network."""
    (found,) = (node.op for node in sewdsl.load(SPEC, input="2x8x8") if node.op.kind == "FIF")
    return float(found.decay)  # type: ignore[attr-defined]


def test_a_file_that_changes_is_imported_anew(tmp_path: Path) -> None:
    file = written(tmp_path / "mine.py", NEURON)
    first = sewdsl.load_plugin(str(file))
    assert sewdsl.load_plugin(file) is first
    assert decay() == 0.5
    written(file, NEURON.replace("default=0.5", "default=0.25"))
    second = sewdsl.load_plugin(file)
    assert second.sha256 != first.sha256
    assert decay() == 0.25
    written(file, NEURON + "1 / 0\n")
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        sewdsl.load_plugin(file)
    with raises(SewdslError):
        sewdsl.load(SPEC, input="2x8x8")


def test_a_rule_and_a_module_beside_it(tmp_path: Path) -> None:
    written(tmp_path / "words_beside.py", "CODE = 'named-in-lower-case'\n")
    sewdsl.load_plugin(
        written(
            tmp_path / "rules.py",
            """\
            from sewdsl.diagnostics import Diagnostic, Severity
            from words_beside import CODE

            def check(network, whole):
                if network.name.islower():
                    yield Diagnostic(CODE, network.name, next(iter(network)).span, severity=Severity.WARNING)
            """,
        )
    )
    sys.modules.pop("words_beside")
    found = [said.code for said in check(sewdsl.load("c8k3-BN-LIF-FC3", input="2x8x8"))]
    assert "named-in-lower-case" in found


@pytest.mark.skipif(sys.platform == "win32", reason="processes are asked for their groups")
def test_the_page_knows_it(tmp_path: Path) -> None:
    sewdsl.load_plugin(written(tmp_path / "mine.py", NEURON))
    text = f"sewdsl 1\ninput 2x8x8\nbody {SPEC}\n"

    async def ask() -> tuple[int, bytes, bool]:
        worker = await Worker.start()
        try:
            return await worker.ask(
                {"what": "look", "folder": str(tmp_path), "seconds": 60},
                json.dumps({"text": text, "name": "a.net"}).encode(),
            )
        finally:
            await worker.end()

    status, body, _ = asyncio.run(ask())
    assert status == 200
    assert b"unknown name" not in body
    assert b"FIF" in body
