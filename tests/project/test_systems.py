"""Systems other than Linux, in so far as they can be imitated here.

A process takes what Windows lacks from its standard library, and says that it runs there. Libraries are imported first:
they decide at import what their system has. ``mypy --platform`` looks at all other places.
"""

from __future__ import annotations

import json
import ntpath
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli import import_
from sewdsl.cli.app import app
from sewdsl.compiler import read

ROOT = Path(__file__).parents[2]
NET = """\
sewdsl 1
network "Small"
input   1x8x8
steps   2
encode  direct
body    c4k3-BN-PLIF-{SEW Block-MPk2s2}*2-FC10

train on digits {
    epochs 1
    optimizer Adam(lr=0.05)
}
"""
FRONT_END = """
import matplotlib.backends.backend_pdf, matplotlib.figure, matplotlib.font_manager, platformdirs, rich.live, typer
"""
TRAINING = """
import filelock, lightning.pytorch, mlxtend, numba, sklearn.datasets, torch.utils.tensorboard, torchmetrics
filelock.lock_descriptor
"""
IMITATION = '''
import importlib.abc, json, os, shutil, signal, subprocess, sys
from types import SimpleNamespace

MODULES = "fcntl grp pty pwd readline resource syslog termios tty".split()

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
for name in MODULES:
    sys.modules.pop(name, None)
OS = """
    O_CLOEXEC O_DIRECTORY O_NOCTTY O_NOFOLLOW O_NONBLOCK O_SYNC chown fork forkpty getegid geteuid getgid getgroups
    getloadavg getpgid getpgrp getuid killpg mkfifo mknod nice openpty pathconf register_at_fork sched_getaffinity
    setpgid setsid statvfs sysconf wait3 wait4
"""
SIGNAL = """
    SIGALRM SIGHUP SIGPIPE SIGQUIT SIGXCPU alarm pthread_kill setitimer sigwait
"""
for module, names in ((os, OS), (signal, SIGNAL)):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
subprocess.CREATE_NEW_PROCESS_GROUP = 0
shutil._winapi = SimpleNamespace(NeedCurrentDirectoryForExePath=lambda _: False)
sys.platform = "win32"
from sewdsl.cli.app import main
for command in json.loads(sys.argv[1]):
    sys.argv[:] = ["sewdsl", *command.split()]
    try:
        main()
    except SystemExit as end:
        assert not end.code, (command, end.code)
'''


def run_imitated(program: str, commands: list[str], place: Path) -> str:
    """Run commands as on Windows; their standard output together."""
    (place / "net.net").write_text(NET, "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", program + IMITATION, json.dumps(commands)],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATHEXT": "pure"},  # graphviz-pure has no .exe here
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_front_end_without_what_only_unix_has(tmp_path: Path) -> None:
    commands = [
        "check net.net",
        "show net.net --memory",
        "draw net.net -o a.svg",
        "draw net.net -o a.pdf",
        "fmt net.net",
    ]
    printed = run_imitated(FRONT_END, commands, tmp_path)
    assert "valid" in printed
    assert (tmp_path / "a.svg").stat().st_size > 1000
    assert (tmp_path / "a.pdf").stat().st_size > 1000


def test_training_without_what_only_unix_has(tmp_path: Path) -> None:
    printed = run_imitated(FRONT_END + TRAINING, ["train net.net --out run", "eval run", "report run"], tmp_path)
    assert "accuracy" in printed
    assert (tmp_path / "run" / "report.html").is_file()
    assert (tmp_path / "run" / "diagram.svg").is_file()


def test_workers_of_a_loader_are_spawned() -> None:
    samples = sewdsl.dataset("digits", steps=2)
    loader = samples.loader(900, num_workers=1, multiprocessing_context="spawn")
    assert [len(labels) for _, labels in loader] == [900, 538]


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        (r"C:\models\net.nir", (r"C:\models\net.nir", "")),
        (r"C:\models\net.py:Net", (r"C:\models\net.py", "Net")),
        ("models.net:Net", ("models.net", "Net")),
    ],
)
def test_drive_of_a_path_is_no_module(source: str, parts: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "splitdrive", ntpath.splitdrive)
    assert import_._split_source(source) == parts


def test_path_with_backslashes_is_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sep", "\\")
    result = CliRunner().invoke(app, ["check", r"C:\runs\mnist5k-1"])
    assert result.exit_code == 1
    assert r"cannot read 'C:\runs\mnist5k-1': there is no such file" in result.stderr


@pytest.mark.parametrize("path", [r"C:\nets\a.net", r"nets\a.net", r"\\server\nets\a.net"])
def test_file_of_windows_is_a_file(path: str) -> None:
    assert [diagnostic.code for diagnostic in read(path).diagnostics] == ["spec-not-found"]
