"""Packages of others that are broken: a sentence names the package and the module, and everything else goes on."""

import os
import subprocess
import sys
from pathlib import Path

from tests.words import check_words

ROOT = Path(__file__).parents[2]
GOOD = "from sewdsl.ops.neurons.integrate_and_fire import IF\nclass Good(IF, kind='GOOD'): ...\n"
BROKEN = {
    "needs": ("import nosuch\n", "ModuleNotFoundError: No module named 'nosuch'"),
    "syntax": ("class\n", "SyntaxError: invalid syntax"),
    "abstract": (
        "from sewdsl.ir.op import Neuron\nclass Bad(Neuron, kind='BAD1'): ...\n",
        "BAD1 does not define charge",
    ),
    "class_variable": (
        (
            "from sewdsl.ir.op import Join\n"
            "class Bad(Join, kind='BAD2'):\n"
            "    def combine(self, *, branch, identity): return branch\n"
            "    def values(self, branch, identity): return branch\n"
        ),
        "BAD2 does not define neutral_branch",
    ),
    "schema": (
        (
            "import io\nfrom sewdsl.ops.neurons.integrate_and_fire import IF\n"
            "class Bad(IF, kind='BAD3'):\n    start: io.StringIO\n"
        ),
        "BAD3: Unable to generate pydantic-core schema for <class '_io.StringIO'>",
    ),
    "twice": (
        "from sewdsl.ir.op import Neuron\nclass Bad(Neuron, kind='LIF'): ...\n",
        "TypeError: kind 'LIF' is defined twice: sewdsl.ops.neurons.integrate_and_fire.LIF and my_package.twice",
    ),
}


def installed(site: Path, group: str, **bad: str) -> Path:
    """A folder with an installed package of a good module and of bad ones, announced in a group."""
    package, metadata = site / "my_package", site / "mine-1.0.dist-info"
    package.mkdir()
    metadata.mkdir()
    for name, code in {"__init__": "", "good": GOOD, **bad}.items():
        (package / f"{name}.py").write_text(code, encoding="utf-8")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n", encoding="utf-8")
    (metadata / "entry_points.txt").write_text(f"[{group}]\nmine = my_package\n", encoding="utf-8")
    return site


def sewdsl(site: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    command = [sys.executable, "-m", "sewdsl", *arguments]
    return subprocess.run(command, cwd=site, env=environment, capture_output=True, text=True, check=False)


def test_broken_modules_are_left_out(tmp_path: Path) -> None:
    site = installed(tmp_path, "sewdsl.kinds", **{name: code for name, (code, _) in BROKEN.items()})
    warnings = [f"warning: the package 'mine' is broken: my_package.{name}: {why}" for name, (_, why) in BROKEN.items()]

    def warned(stderr: str) -> list[str]:
        """Return the first warnings, one line per module, in any order."""
        lines = sorted(stderr.splitlines()[: len(BROKEN)])
        assert stderr.count("warning: ") == len(BROKEN)
        return [line[: len(warning)] for line, warning in zip(lines, sorted(warnings), strict=True)]

    wrong = sewdsl(site, "check", "c8k3-BN-PLlF", "--input", "2x8x8")
    assert (wrong.returncode, warned(wrong.stderr)) == (1, sorted(warnings))
    assert "error[unknown-name]: unknown name 'PLlF'" in wrong.stderr
    assert "Traceback" not in wrong.stderr

    good = sewdsl(site, "check", "c8k3-BN-GOOD-FC3", "--input", "2x8x8")
    assert (good.returncode, warned(good.stderr)) == (0, sorted(warnings))
    listed = sewdsl(site, "nets", "--kinds")
    assert (listed.returncode, warned(listed.stderr)) == (0, sorted(warnings))
    assert "GOOD " in listed.stdout
    assert "BAD" not in listed.stdout

    usual = sewdsl(site, "check", "c8k3-BN-LIF-FC3", "--input", "2x8x8")
    assert (usual.returncode, usual.stderr) == (0, "")


def test_a_broken_rule_is_left_out(tmp_path: Path) -> None:
    site = installed(tmp_path, "sewdsl.rules", bad="import nosuch\n")
    found = sewdsl(site, "check", "c8k3-BN-LIF-FC3", "--input", "2x8x8")
    said = "warning: the package 'mine' is broken: my_package.bad: ModuleNotFoundError: No module named 'nosuch'\n"
    assert (found.returncode, found.stderr) == (0, said)


def test_a_broken_data_set_is_left_out(tmp_path: Path) -> None:
    data = (
        "from sewdsl.train.data.dataset import DataSet\nclass Bad(DataSet, name='bad'): shape, classes = (2, 8, 8), 3\n"
    )
    site = installed(tmp_path, "sewdsl.kinds", bad=data)
    (site / "net.net").write_text(
        "sewdsl 1\ninput 2x8x8\nbody FC3\ntrain on bad {\n optimizer SGD(lr=0.1)\n}\n", "utf-8"
    )
    found = sewdsl(site, "train", "net.net")
    assert found.returncode == 1
    check_words(found.stderr)
