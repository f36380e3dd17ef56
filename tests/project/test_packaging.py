"""The wheel, built from the source distribution and installed outside the checkout.

The default run looks at the files in the wheel; a deep run installs it. The new environment borrows the dependencies of
the one that runs the tests: installing torch a second time would take minutes and prove nothing about sewdsl.
"""

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that knows nothing of the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", out, cwd=ROOT)
    (archive,) = out.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path) -> Path:
    """A wheel made from the source distribution, so that both are complete."""
    out = sdist.parent
    with tarfile.open(sdist) as archive:
        archive.extractall(out, filter="data")
    source = out / sdist.name.removesuffix(".tar.gz")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out, cwd=source)
    (built,) = out.glob("*.whl")
    shutil.rmtree(source)
    return built


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the executables of an environment that holds the wheel."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(home)
    paths = sysconfig.get_paths("venv", {"base": str(home), "platbase": str(home)})
    python = Path(paths["scripts"]) / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=home)
    borrowed = dict.fromkeys(sysconfig.get_paths()[name] for name in ("purelib", "platlib"))
    (Path(paths["purelib"]) / "borrowed.pth").write_text("\n".join(borrowed), encoding="utf-8")
    return python.parent


SHARED = {"grammars": "sewdsl/_share/grammars", "nets": "sewdsl/_share/nets", "docs/codes": "sewdsl/_share/codes"}
"""Folders of the checkout by where they are in the wheel."""


def test_the_source_distribution_holds_what_git_tracks(sdist: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("needs a checkout")
    tracked = {path.split("/")[0] for path in run("git", "ls-files", cwd=ROOT).splitlines()}
    with tarfile.open(sdist) as archive:
        packed = {name.split("/")[1] for name in archive.getnames()}
    hooks = {".gitattributes", ".pre-commit-config.yaml", ".pre-commit-hooks.yaml"}
    assert packed == tracked - hooks | {"PKG-INFO"}


def test_the_wheel_holds_the_package(wheel: Path) -> None:
    expected = {
        f"{there}/{path.relative_to(ROOT / here).as_posix()}"
        for here, there in {"sewdsl": "sewdsl", **SHARED}.items()
        for path in (ROOT / here).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        weights = [entry for entry in archive.infolist() if entry.filename.endswith(".safetensors")]
        (points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        commands = archive.read(points).decode()
    assert names == expected
    assert {"sewdsl/py.typed", "sewdsl/_share/nets/7b-net.net", "sewdsl/_share/codes/missing-hyphen.md"} < names
    names = {Path(entry.filename).stem for entry in weights}
    assert names == {"mnist5k", "mnist5k-dvs", "mnist5k-mcu", "mnist5k-speck"}
    assert all(entry.file_size <= 200_000 for entry in weights)
    assert "[console_scripts]\nsewdsl = sewdsl.__main__:main\n" in commands
    assert "[pygments.lexers]" in commands


@pytest.mark.deep
def test_the_wheel_is_what_runs(scripts: Path, tmp_path: Path) -> None:
    where = run(scripts / "python", "-c", "import sewdsl; print(sewdsl.__file__)", cwd=tmp_path)
    assert Path(where).is_relative_to(scripts.parent)


@pytest.mark.deep
def test_check(scripts: Path, tmp_path: Path) -> None:
    run(scripts / "sewdsl", "check", "7b-net", cwd=tmp_path)


@pytest.mark.deep
def test_show(scripts: Path, tmp_path: Path) -> None:
    assert "130,938" in run(scripts / "sewdsl", "show", "7b-net", cwd=tmp_path)


@pytest.mark.deep
def test_templates_of_kernels(scripts: Path, tmp_path: Path) -> None:
    program = (
        "from sewdsl.snn.kernels.render_kernels import render_kernel; "
        "print(render_kernel('statistics', 'statistics', 'float32'))"
    )
    assert "def statistics(" in run(scripts / "python", "-c", program, cwd=tmp_path)


@pytest.mark.deep
def test_templates_of_pages(scripts: Path, tmp_path: Path) -> None:
    (tmp_path / "spec.net").write_text("sewdsl 1\ninput 2x32x32\nbody  c32k3s1-BN-PLIF-FC11\n", encoding="utf-8")
    run(scripts / "sewdsl", "report", ".", cwd=tmp_path)
    assert "<h2>Layers</h2>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    program = "import sewdsl; print(sewdsl.load('FC11', input='2x32x32')._repr_html_())"
    assert "<td>FC11b1</td>" in run(scripts / "python", "-c", program, cwd=tmp_path)


@pytest.mark.deep
def test_trained_weights(scripts: Path, tmp_path: Path) -> None:
    program = "import sewdsl; print(sewdsl.compile('mnist5k', weights='trained').training)"
    assert run(scripts / "python", "-c", program, cwd=tmp_path).strip() == "False"


@pytest.mark.deep
def test_draw(scripts: Path, tmp_path: Path) -> None:
    run(scripts / "sewdsl", "draw", "7b-net", "-o", "x.svg", cwd=tmp_path)
    assert "<svg" in (tmp_path / "x.svg").read_text(encoding="utf-8")


@pytest.mark.deep
def test_explain(scripts: Path, tmp_path: Path) -> None:
    assert "missing-hyphen" in run(scripts / "sewdsl", "explain", "missing-hyphen", cwd=tmp_path)


@pytest.mark.deep
def test_nets(scripts: Path, tmp_path: Path) -> None:
    assert "sew-resnet-152" in run(scripts / "sewdsl", "nets", cwd=tmp_path)


@pytest.mark.deep
@pytest.mark.parametrize(("alias", "text"), [("sewdsl", "body BN"), ("net", "body BN"), ("sewdsl-compact", "BN")])
def test_pygments_finds_the_lexers(scripts: Path, tmp_path: Path, alias: str, text: str) -> None:
    program = f"from pygments.lexers import get_lexer_by_name as get; print(*get({alias!r}).get_tokens({text!r}))"
    assert "Token.Name.Function, 'BN'" in run(scripts / "python", "-c", program, cwd=tmp_path)


@pytest.mark.deep
def test_pygments_knows_the_files(scripts: Path, tmp_path: Path) -> None:
    program = "from pygments.lexers import find_lexer_class_for_filename as find; print(find('7b.net').__name__)"
    assert run(scripts / "python", "-c", program, cwd=tmp_path) == "NetLexer\n"


@pytest.mark.deep
def test_as_a_module(scripts: Path, tmp_path: Path) -> None:
    run(scripts / "python", "-m", "sewdsl", "check", "7b-net", cwd=tmp_path)


POSIX_ONLY = {"curses", "fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}


def test_no_module_needs_what_windows_lacks() -> None:
    # imports under `if sys.platform …` are not among the statements of the module itself
    for path in (ROOT / "sewdsl").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                assert not {alias.name for alias in node.names} & POSIX_ONLY, path
            elif isinstance(node, ast.ImportFrom):
                assert node.module not in POSIX_ONLY, path
