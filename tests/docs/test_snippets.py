"""Every example of the documentation, run as it says.

What a fence holds is said behind it: ``console``: commands and what they print; ``sh``: commands alone, of which only
the words are checked; ``sewdsl``: a whole file; ``python``: run, or a session; ``py``: of a file that other tests run.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from typer.testing import CliRunner

import sewdsl
from sewdsl.cli.app import app
from sewdsl.source import Source

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^( *)```(\S*)(?: title=\"([^\"]*)\")?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Snippet(NamedTuple):
    """A fence of a page: its language, the name of the file that it is, its line, and its text."""

    language: str
    title: str
    line: int
    text: str


def snippets(page: Path) -> Iterator[Snippet]:
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        inside = re.sub(f"^{found[1]}", "", found[4], flags=re.MULTILINE)
        yield Snippet(found[2], found[3] or "", text.count("\n", 0, found.start()) + 1, inside)


LANGUAGES = {*["", "console", "json", "latex", "lua", "net", "py", "python", "sewdsl", "sewdsl-compact", "sh", "toml"]}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one folder, in order: a file that is shown is there for the commands behind it."""
    monkeypatch.chdir(tmp_path)
    session: dict[str, object] = {}
    for snippet in snippets(page):
        where = f"{page.name}:{snippet.line}"
        assert snippet.language in LANGUAGES, where
        if snippet.title:
            Path(snippet.title).write_text(snippet.text, encoding="utf-8")
        if snippet.language == "console":
            _console(snippet, where)
        elif snippet.language == "sh":
            _words(snippet, where)
        elif snippet.language == "sewdsl":
            _compiles(snippet, where)
        elif snippet.language == "python":
            _python(snippet, where, session)


def _compiles(snippet: Snippet, where: str) -> None:
    found = sewdsl.read(Path(snippet.title) if snippet.title else Source("snippet.net", snippet.text))
    assert found.valid, (where, [str(d) for d in found.diagnostics])


def _console(snippet: Snippet, where: str) -> None:
    for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n?)*)", snippet.text, re.MULTILINE):
        words = shlex.split(command)
        assert words[0] == "sewdsl", f"{where}: {command}"
        result = CliRunner().invoke(app, words[1:])
        printed = "\n".join(line.rstrip() for line in result.output.splitlines()) + "\n"
        wanted = "\n".join(line.rstrip() for line in expected.splitlines()) + "\n"
        checker = doctest.OutputChecker()
        assert checker.check_output(wanted, printed, _FLAGS), (
            f"{where}: {command}\nprinted:\n{printed}\nexpected:\n{wanted}"
        )


def _words(snippet: Snippet, where: str) -> None:
    """Commands whose running would take too long, or data: they and their options are there."""
    for line in snippet.text.replace("\\\n", " ").splitlines():
        for command in line.split("&&"):
            words = shlex.split(command, comments=True)
            if words[:1] == ["sewdsl"]:
                _parse(typer.main.get_command(app), words[1:], f"{where}: {command}")


def _parse(command: Any, words: list[str], where: str) -> None:
    """The command and every option are there; commands of a group too."""
    if hasattr(command, "commands"):
        assert words[0] in command.commands, where
        _parse(command.commands[words[0]], words[1:], where)
        return
    options = {name for parameter in command.params for name in parameter.opts}
    asked = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert asked <= options, f"{where}: {asked - options}"


def _python(snippet: Snippet, where: str, session: dict[str, object]) -> None:
    if ">>>" not in snippet.text:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(snippet.text, where, "exec"), session)  # noqa: S102 -- the page's own code
        return
    test = doctest.DocTestParser().get_doctest(snippet.text, session, where, None, 0)
    said: list[str] = []
    doctest.DocTestRunner(optionflags=_FLAGS).run(test, out=said.append, clear_globs=False)
    session.update(test.globs)
    assert not said, "".join(said)
