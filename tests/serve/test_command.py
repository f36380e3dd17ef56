"""``sewdsl serve`` before its page is asked for."""

import socket
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from sewdsl.cli.app import app
from sewdsl.cli.serve import NEW_FILE_TEXT, _listen, _site
from sewdsl.compiler import read
from sewdsl.source import Source
from tests.systems import make_link


def test_a_browser_waits_from_the_first_moment() -> None:
    with _listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname(), timeout=5):
        pass


def test_an_address_that_is_taken() -> None:
    with _listen("127.0.0.1", 0) as listening, pytest.raises(typer.Exit):
        _listen("127.0.0.1", listening.getsockname()[1])


def test_what_a_new_file_begins_with(tmp_path: Path) -> None:
    assert read(Source("x.net", NEW_FILE_TEXT)).valid
    site = _site(tmp_path / "new.net")
    assert (site.text, site.name, site.folder.path) == (NEW_FILE_TEXT, "new.net", tmp_path)
    assert not (tmp_path / "new.net").exists()


def test_a_link_is_edited_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.net").write_text("sewdsl 1\n")
    make_link(tmp_path / "b.net", tmp_path / "real/a.net")
    site = _site(tmp_path / "b.net")
    assert (site.name, site.folder.path, site.text) == ("a.net", tmp_path / "real", "sewdsl 1\n")


@pytest.mark.parametrize(("name", "code"), [("a.txt", 2), ("a.net", 1)])
def test_what_cannot_be_edited(tmp_path: Path, name: str, code: int) -> None:
    (tmp_path / name).write_bytes(b"\xff")
    assert CliRunner().invoke(app, ["serve", str(tmp_path / name), "--no-open"]).exit_code == code
