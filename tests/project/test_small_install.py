"""The small install: with few packages, sewdsl checks and draws, and says what is missing for the rest."""

import json
import re
import subprocess
import sys
import tomllib
from email import message_from_bytes
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SMALL = PROJECT["tool"]["sewdsl"]["small"]
STATED = {re.split("[<>=!~;]", text, maxsplit=1)[0]: text for text in PROJECT["project"]["dependencies"]}
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
    "check spikformer-8-768 --format sarif",
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
    "doctor": "torch",
    "compile mnist5k --set train.memory=27MB --emit passes": "scipy",
}
"""What it does not, and the package that it then asks for first."""
PROGRAM = """
import json, sys
import importlib.abc, importlib.metadata

blocked, distributions, stated, commands = json.load(sys.stdin)

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in blocked else found(name, package)
import sewdsl.cli.app as missing
missing.installed_version = lambda name: "" if name in distributions else "1"
missing.requires = lambda name: stated
main = missing.main
for command in commands:
    sys.argv[:] = ["sewdsl", *command.split()]
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    print(f"\\n=== {code} {command}", file=sys.stderr, flush=True)
"""


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


def without_the_rest(commands: list[str], place: Path) -> dict[str, tuple[int, str]]:
    """Exit code and standard error of commands, in a process that has the packages of a small install alone."""
    known = closure([*SMALL, "sewdsl-itself"])
    blocked = [
        module
        for module, owners in packages_distributions().items()
        if module != "sewdsl" and not any(owner.lower().replace("_", "-") in known for owner in owners)
    ]
    assert {"torch", "lightning", "matplotlib", "numba", "scipy", "yaml"} <= {*blocked}
    rest = [name for name in STATED if name not in SMALL]
    stated = [
        *(STATED[name] for name in SMALL),
        *(f'{STATED[name]}; extra == "whole"' for name in rest),
        'pytest>=8.3; extra == "dev"',
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=place,
        input=json.dumps([blocked, rest, stated, commands]),
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(place.parent), "COLUMNS": "100"},
    )
    parts = re.split(r"\n=== (\d+) (.*)\n", done.stderr)
    said = dict(zip(parts[2::3], zip(map(int, parts[1::3]), parts[0::3], strict=False), strict=True))
    assert [*said] == commands, done.stderr[-2000:]
    return said


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
    said = without_the_rest(DOES, place)
    assert {command: text for command, (code, text) in said.items() if code} == {}
    assert (place / "net.svg").stat().st_size > 1000
    assert (place / "net.png").stat().st_size > 1000


def test_what_it_lacks_is_said(place: Path) -> None:
    before = sorted(path.name for path in place.rglob("*"))
    for command, (code, text) in without_the_rest([*LACKS], place).items():
        name = command.partition(" ")[0]
        assert code == 1, (command, text)
        (package,) = re.findall(rf"error: 'sewdsl {name}' needs (\S+), which is not installed; this adds it:", text)
        assert re.fullmatch(LACKS[command], package), command
        assert f'  pip install "{STATED[package]}"\nand this adds all that this install leaves out:\n' in text
        assert "pytest" not in text
        assert "Traceback" not in text
    assert sorted(path.name for path in place.rglob("*")) == before, "nothing is left half made"


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
    names_of = [re.split("[<>=!~; ]", text, maxsplit=1)[0] for text in needed]
    assert sorted(names_of) == sorted(STATED)
    assert sorted(name for name, text in zip(names_of, needed, strict=True) if "extra" not in text) == sorted(SMALL)
    assert {"sewdsl/cli/app.py", "sewdsl/_share/nets/mnist5k.net", "sewdsl/_share/codes/unknown-name.md"} <= {*names}
