"""Installs without some packages: sewdsl does what it can, and says what is missing for the rest.

The small install has what checks and draws. The whole has no extras: not what the page and editors need.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection
from email import message_from_bytes
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SMALL = PROJECT["tool"]["sewdsl"]["small"]
EXTRAS = PROJECT["project"]["optional-dependencies"]


def by_name(requirements: list[str]) -> dict[str, str]:
    """Requirements by the name of the distribution."""
    return {re.split("[<>=!~;]", text, maxsplit=1)[0]: text for text in requirements}


NEEDED = by_name(PROJECT["project"]["dependencies"])
OF_COMMANDS = {"serve": by_name(EXTRAS["serve"]), "lsp": by_name(EXTRAS["lsp"])}
"""Requirements of the extras that belong to a command."""
STATED = {**NEEDED, **OF_COMMANDS["serve"], **OF_COMMANDS["lsp"]}
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
DOES = [
    "--version",
    "check net.net",
    "check sew-resnet-152",
    "check spikformer-8-768 --format github",
    "show net.net",
    "show net.net --energy",
    "show net.net --memory",
    "show net.net --json",
    "draw net.net -o net.svg",
    "draw net.net -o net.png --width 397pt",
    "draw net.net -o net.dot",
    "draw net.net -o net.mmd",
    "fmt net.net",
    "notation net.net",
    "notation net.net --as latex",
    "notation net.net --as tikz",
    "notation net.net --as net",
    "diff net.net net.net",
    "nets",
    "nets --kinds",
    "explain unknown-name",
    "compile net.net --emit passes",
    "schema",
    "runs",
]
"""What a small install does."""
LACKS = {
    "draw net.net -o net.pdf": "matplotlib",
    "train net.net": "torch",
    "eval run": "torch",
    "study figure-6": "torch",
    "report run": "pyyaml",
    "probe energy net.net": "torch",
    "export net.net net.py": "torch",
    "import net.nir out.net": "numpy|torch",
    "weights convert a.pt b.safetensors --net net.net": "torch",
    "serve --port 0": "uvicorn",
    "lsp": "pygls",
    "doctor": "torch",
    "compile mnist5k --set train.memory=27MB --emit passes": "scipy",
}
"""What it does not, and the package that it then asks for first."""
PROGRAM = """
import json, sys
import importlib.abc, importlib.metadata

blocked, distributions, stated, commands = json.loads(sys.stdin.buffer.readline())

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in blocked else found(name, package)
import sewdsl.plugins as missing
missing.installed_version = lambda name: "" if name in distributions else "1"
missing.requires = lambda name: stated
from sewdsl.cli.app import main
for command in commands:
    sys.argv[:] = ["sewdsl", *command.split()]
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    print(f"\\n=== {code} {command}", file=sys.stderr, flush=True)
"""


owners_of_modules = cache(packages_distributions)


def closure(names: list[str]) -> set[str]:
    """Distributions that come with these, themselves included."""
    found: set[str] = set()
    waiting = [*names]
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        try:
            needed = requires(name) or []
        except PackageNotFoundError:
            continue
        waiting += [re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in needed if "extra ==" not in text]
    return found


class Done(NamedTuple):
    """Results of commands: joint standard output, and exit code and standard error of each."""

    output: str
    of_command: dict[str, tuple[int, str]]


def run_with(kept: Collection[str], commands: list[str], place: Path, sent: str = "") -> Done:
    """Run commands in a process that has some distributions alone, with those that these need.

    Args:
        sent: Standard input.
    """
    known = closure([*kept, "sewdsl-itself"])
    blocked = [
        module
        for module, owners in owners_of_modules().items()
        if module != "sewdsl" and not any(owner.lower().replace("_", "-") in known for owner in owners)
    ]
    rest = [name for name in NEEDED if name not in kept]
    stated = [
        *(text for name, text in NEEDED.items() if name in kept),
        *(f'{NEEDED[name]}; extra == "whole"' for name in rest),
        *(f"{text}; extra == '{extra}'" for extra, texts in OF_COMMANDS.items() for text in texts.values()),
        'pytest>=8.3; extra == "dev"',
        'triton>=3.3; (sys_platform == "linux") and extra == "dev"',
    ]
    missing = [name for name in STATED if name not in kept]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=place,
        input=json.dumps([blocked, missing, stated, commands]) + "\n" + sent,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(place.parent), "COLUMNS": "100"},
    )
    parts = re.split(r"\n=== (\d+) (.*)\n", done.stderr)
    said = dict(zip(parts[2::3], zip(map(int, parts[1::3]), parts[0::3], strict=False), strict=True))
    assert [*said] == commands, done.stderr[-2000:]
    return Done(done.stdout, said)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "net.net").write_text(NET, "utf-8")
    (tmp_path / "net.nir").write_bytes(b"\x89HDF\r\n\x1a\n")
    (tmp_path / "a.pt").write_bytes(b"")
    run = tmp_path / "run"
    run.mkdir()
    (run / "spec.net").write_text(NET, "utf-8")
    (run / "recipe.json").write_text("{}", "utf-8")
    (run / "result.json").write_text("{}", "utf-8")
    return tmp_path


def test_what_it_does(place: Path) -> None:
    said = run_with(SMALL, DOES, place).of_command
    assert {command: text for command, (code, text) in said.items() if code} == {}
    assert (place / "net.svg").stat().st_size > 1000
    assert (place / "net.png").stat().st_size > 1000


def test_what_it_lacks_is_said(place: Path) -> None:
    before = sorted(path.name for path in place.rglob("*"))
    for command, (code, text) in run_with(SMALL, [*LACKS], place).of_command.items():
        name = command.partition(" ")[0]
        assert code == 1, (command, text)
        (package,) = re.findall(
            rf"error: 'sewdsl {name}' requires (\S+), which is not installed; install it with:", text
        )
        assert re.fullmatch(LACKS[command], package), command
        needed = OF_COMMANDS.get(name, {package: STATED[package]})
        install = " ".join(f'"{requirement}"' for requirement in needed.values())
        assert f"  pip install {install}\nor install all missing packages with:\n" in text
        assert "pytest" not in text
        assert "triton" not in text
        assert "Traceback" not in text
    assert sorted(path.name for path in place.rglob("*")) == before, "nothing is left half made"


def test_whole_install_needs_an_extra_for_the_page_and_for_editors(place: Path) -> None:
    request = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "initialize", "params": {"rootUri": "file:///\u00e4"}})
    message = f"Content-Type: x\r\nContent-Length: {len(request)}\r\n\r\n{request}"
    done = run_with(NEEDED, ["train --help", "lsp", "serve"], place, sent=message)
    assert done.of_command.pop("train --help") == (0, "")
    for command, package in {"lsp": "pygls", "serve": "uvicorn"}.items():
        install = " ".join(f'"{requirement}"' for requirement in OF_COMMANDS[command].values())
        lines = [
            f"error: 'sewdsl {command}' requires {package}, which is not installed; install it with:",
            f"  pip install {install}",
        ]
        assert done.of_command[command] == (1, "\n".join([*lines, ""]))
    head, _, content = done.output.rpartition("\n\n")
    assert head.endswith(f"Content-Length: {len(content)}")
    answer = json.loads(content)
    assert (answer["id"], answer["error"]["data"]) == (7, {"retry": False})
    assert answer["error"]["message"].endswith(
        f"install it with:\n  pip install {OF_COMMANDS['lsp']['pygls']!r}".replace("'", '"')
    )


@pytest.mark.parametrize("sent", ["", "Content-Length: x\r\n\r\n", "Content-Length: 2\r\n\r\n{}", "nonsense"])
def test_editor_that_sends_no_request_gets_no_answer(place: Path, sent: str) -> None:
    done = run_with(SMALL, ["lsp"], place, sent=sent)
    assert done.output == ""
    assert "requires pygls" in done.of_command["lsp"][1]


def test_its_metadata_are_those_of_the_whole(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT / "small", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        stated = message_from_bytes(archive.read(metadata))
        (points,) = (name for name in names if name.endswith("entry_points.txt"))
        assert b"sewdsl = sewdsl.__main__:main" in archive.read(points)
    assert (stated["Name"], stated["Version"]) == ("sewdsl", f"{PROJECT['project']['version']}+small")
    needed = stated.get_all("Requires-Dist") or []
    whole = [text for text in needed if "extra == 'whole'" in text]
    assert {*by_name([text for text in needed if "extra ==" not in text])} == {*SMALL}
    assert {*by_name(whole)} == {*NEEDED} - {*SMALL}
    assert set(stated.get_all("Provides-Extra") or ()) == {*EXTRAS, "whole"}
    assert {"sewdsl/cli/app.py", "sewdsl/_share/nets/mnist5k.net", "sewdsl/_share/codes/unknown-name.md"} <= {*names}
