"""Packages of others that are broken: a sentence names the package and the module, and everything else goes on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GOOD = "from sewdsl.ops.neurons.integrate_and_fire import IF\nclass Good(IF, kind='GOOD'): ...\n"
BROKEN = {
    "import": ("import nosuch\n", "ModuleNotFoundError: No module named 'nosuch'"),
    "syntax": ("class\n", "SyntaxError: invalid syntax"),
    "abstract": (
        "from sewdsl.ir.op import Neuron\nclass Bad(Neuron, kind='BAD'): ...\n",
        "BAD does not define charge",
    ),
    "class variable": (
        (
            "from sewdsl.ir.op import Join\n"
            "class Bad(Join, kind='BAD'):\n"
            "    def combine(self, *, branch, identity): return branch\n"
            "    def values(self, branch, identity): return branch\n"
        ),
        "BAD does not define neutral_branch",
    ),
    "duplicate": (
        "from sewdsl.ir.op import Neuron\nclass Bad(Neuron, kind='LIF'): ...\n",
        "TypeError: kind 'LIF' is defined twice: sewdsl.ops.neurons.leaky_integrate_and_fire.LIF and my_package.bad",
    ),
}


def installed(site: Path, bad: str, *groups: str) -> Path:
    """A folder with an installed package of a good and a bad module, announced in some groups."""
    package, metadata = site / "my_package", site / "mine-1.0.dist-info"
    package.mkdir()
    metadata.mkdir()
    for name, code in (("__init__", ""), ("bad", bad), ("good", GOOD)):
        (package / f"{name}.py").write_text(code, encoding="utf-8")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n", encoding="utf-8")
    entries = "".join(f"[{group}]\nmine = my_package\n" for group in groups)
    (metadata / "entry_points.txt").write_text(entries, encoding="utf-8")
    return site


def sewdsl(site: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    command = [sys.executable, "-m", "sewdsl", *arguments]
    return subprocess.run(command, cwd=site, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_module_is_left_out(name: str, tmp_path: Path) -> None:
    code, why = BROKEN[name]
    site = installed(tmp_path, code, "sewdsl.kinds")
    warning = f"warning: the package 'mine' is broken: my_package.bad: {why}"

    wrong = sewdsl(site, "check", "c8k3-BN-PLlF", "--input", "2x8x8")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith(warning)
    assert wrong.stderr.count("warning: ") == 1
    assert "error[unknown-name]: unknown name 'PLlF'" in wrong.stderr
    assert "Traceback" not in wrong.stderr

    good = sewdsl(site, "check", "c8k3-BN-GOOD-FC3", "--input", "2x8x8")
    assert (good.returncode, good.stderr.startswith(warning)) == (0, True)
    listed = sewdsl(site, "nets", "--kinds")
    assert (listed.returncode, listed.stderr.startswith(warning)) == (0, True)
    assert "GOOD " in listed.stdout
    assert "BAD " not in listed.stdout

    usual = sewdsl(site, "check", "c8k3-BN-LIF-FC3", "--input", "2x8x8")
    assert (usual.returncode, usual.stderr) == (0, "")


def test_a_broken_rule_is_left_out(tmp_path: Path) -> None:
    site = installed(tmp_path, "import nosuch\n", "sewdsl.rules")
    found = sewdsl(site, "check", "c8k3-BN-LIF-FC3", "--input", "2x8x8")
    said = "warning: the package 'mine' is broken: my_package.bad: ModuleNotFoundError: No module named 'nosuch'\n"
    assert (found.returncode, found.stderr) == (0, said)


def test_a_broken_data_set_is_left_out(tmp_path: Path) -> None:
    data = (
        "from sewdsl.train.data.dataset import DataSet\nclass Bad(DataSet, name='bad'): shape, classes = (2, 8, 8), 3\n"
    )
    site = installed(tmp_path, data, "sewdsl.kinds")
    (site / "net.net").write_text(
        "sewdsl 1\ninput 2x8x8\nbody FC3\ntrain on bad {\n optimizer SGD(lr=0.1)\n}\n", "utf-8"
    )
    found = sewdsl(site, "train", "net.net")
    assert found.returncode == 1
    assert found.stderr.startswith(
        "warning: the package 'my_package' is broken: my_package.bad: bad does not define load"
    )
    assert "error[unknown-name]: unknown data set 'bad'" in found.stderr
