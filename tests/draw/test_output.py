"""Files and the command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import sewdsl
from sewdsl.cli.app import app
from sewdsl.draw import RenderingError, dot, fitting_depth, mermaid, render_picture, write_picture
from sewdsl.ir.network import Network
from tests.words import check_words, raises

Networks = Callable[[str], Network]
STRING = "c4k3-BN-IF-FC2"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """Run the command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["draw", *arguments])


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("a.svg", b"<?xml"),
        ("a.PNG", b"\x89PNG"),
        ("a.pdf", b"%PDF"),
        ("a.dot", b"//"),
        ("a.gv", b"//"),
        ("a.mmd", b"---"),
    ],
)
def test_the_suffix_says_the_format(networks: Networks, tmp_path: Path, name: str, start: bytes) -> None:
    path = write_picture(networks("plain"), tmp_path / name)
    assert path.read_bytes().startswith(start)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_not_replaced(networks: Networks, tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        write_picture(networks("plain"), tmp_path, "dot", overwrite=True)


def test_a_stated_format_wins(networks: Networks, tmp_path: Path) -> None:
    path = write_picture(networks("plain"), tmp_path / "a.svg", "dot", expand=True, direction="LR")
    assert path.read_text(encoding="utf-8") == dot(networks("plain"), expand=True, direction="LR")


def test_no_known_suffix(networks: Networks, tmp_path: Path) -> None:
    with raises(ValueError):
        write_picture(networks("plain"), tmp_path / "a.eps")


def test_a_failure_leaves_the_old_file(networks: Networks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.svg"
    file.write_text("old")
    monkeypatch.setattr("sewdsl.draw.picture_file.renderers", lambda: ())
    with pytest.raises(FileExistsError, match="pass overwrite=True to replace it"):
        write_picture(networks("plain"), file, "dot")
    with pytest.raises(RenderingError):
        write_picture(networks("plain"), file, overwrite=True)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_picture(networks("plain"), file, "dot", overwrite=True)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_default_file(draw: Callable[..., Result], tmp_path: Path) -> None:
    result = draw("7b-net")
    assert (result.exit_code, result.stdout) == (0, "7b-net.svg\n")
    assert (tmp_path / "7b-net.svg").read_bytes().startswith(b"<?xml")


def test_a_picture_has_the_name_of_its_file(draw: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.net").write_text('sewdsl 1\nnetwork "Other"\ninput 3\nbody FC2\n')
    assert draw("sub/x.net").stdout == "x.svg\n"
    assert (tmp_path / "x.svg").exists()


def test_a_name_is_no_path(draw: Callable[..., Result]) -> None:
    result = draw('sewdsl 1\nnetwork "../a b/c"\ninput 3\nbody FC2\n', "--format", "png")
    assert (result.exit_code, result.stdout) == (0, "a-b-c.png\n")


def test_text_goes_to_standard_output(draw: Callable[..., Result], networks: Networks) -> None:
    assert draw("7b-net", "--format", "dot", "--expand").stdout == dot(networks("7b-net"), expand=True)
    assert draw("7b-net", "--format", "mermaid").stdout == mermaid(networks("7b-net"))
    assert draw("7b-net", "-o", "-", "--direction", "lr").stdout_bytes.startswith(b"<?xml")


def test_options_reach_the_network(draw: Callable[..., Result]) -> None:
    result = draw(STRING, "--input", "2x8x8", "--steps", "5", "--format", "dot")
    assert "input 2×8×8 · T = 5" in result.stdout


def test_an_unknown_suffix_is_a_usage_error(draw: Callable[..., Result]) -> None:
    result = draw("7b-net", "-o", "a.eps")
    assert result.exit_code == 2
    assert ".svg" in result.stderr


def test_a_wrong_spec_ends_with_1(draw: Callable[..., Result], tmp_path: Path) -> None:
    assert draw("c4k3-BNN", "--input", "2x8x8").exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(draw: Callable[..., Result]) -> None:
    result = draw("7b-net", "-o", "nowhere/a.svg")
    assert result.exit_code == 1
    check_words(result.stderr)


def test_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from sewdsl.cli.app import app;"
        "app(['draw', 'sew-resnet-152', '-o', sys.argv[1]], standalone_mode=False);"
        "sys.exit('torch' in sys.modules or 'networkx' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.svg")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.svg").stat().st_size > 10_000


def test_says_what_mermaid_will_not_draw(draw: Callable[..., Result]) -> None:
    result = draw("{BN}*501", "--input", "3", "--expand", "--format", "mermaid")
    assert result.exit_code == 0
    check_words(result.stderr)
    assert draw("{BN}*501", "--input", "3", "--format", "mermaid").stderr == ""


def test_more_boxes_than_can_be_looked_at(draw: Callable[..., Result], tmp_path: Path) -> None:
    """No layout, no renderer: it is said how many there would be, and how they become fewer or may be more."""
    message = (
        "error: cannot draw network: the picture would have {} boxes, but the limit is {}; write repeats as {{…}}*n, "
        "which is drawn once unless expanded, or raise the limit with --limit boxes=N if this is intended\n"
    )
    result = draw("{BN}*10000", "--input", "3", "--expand", "--format", "svg")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", message.format("10,001", "10,000"))
    few = ("{BN}*100", "--input", "3", "--expand", "--format")
    for form in ("svg", "png", "pdf", "dot"):
        result = draw(*few, form, "--limit", "boxes=100")
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", message.format("101", "100"))
    assert list(tmp_path.iterdir()) == []
    assert draw(*few, "dot", "--limit", "boxes=101").exit_code == 0
    assert draw(*few[:-2], "--format", "dot", "--limit", "boxes=100").exit_code == 0


@pytest.mark.parametrize("function", [dot, mermaid, fitting_depth, render_picture])
def test_an_unknown_keyword_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=rf"^{function.__name__}\(\) got an unexpected keyword argument 'colapse'$"):
        function(sewdsl.load("tiny"), colapse=True)


def test_an_unknown_keyword_writes_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="'ask'"):
        write_picture(sewdsl.load("tiny"), tmp_path / "x.mmd", ask=True)  # type: ignore[call-arg]
    assert list(tmp_path.iterdir()) == []
