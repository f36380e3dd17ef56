"""Every example of the documentation, run or compared as CONTRIBUTING.md says of its kind."""

from __future__ import annotations

import contextlib
import doctest
import io
import json
import re
import runpy
import shlex
import tomllib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from pygments.lexers import LuaLexer
from pygments.token import Error

import sewdsl
from sewdsl.cli.app import app
from sewdsl.exchange.write.c.kernels import read_template
from sewdsl.source import Source
from tests.docs.commands import understood
from tests.docs.fences import Fence, agrees, fences, session, shell
from tests.docs.given import GIVEN
from tests.plugin_files import left_out
from tests.project.test_contributing import EXAMPLES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MADE = {"catalogue.md", "reference.md"}
"""Generated, with indented formulas and rules of the grammar."""
SLOW = {"energy.md", "from-paper.md", "onnx.md", "probing.md", "source.md", "transfer.md", "tutorial.md", "weights.md"}
"""Pages that take seconds: they train, export or convert. Deep runs run all of them, and other runs what is quick."""
QUICK = {"check", "diff", "draw", "explain", "fmt", "nets", "notation", "show"}
"""Commands that answer at once."""
LEEWAY = 0.25
"""By which figures of a trained network may differ: another machine rounds otherwise, and learns another network."""


class Page:
    """Examples of a page that have run so far, in the current folder.

    Args:
        path: File of the page.
        quick: Whether to check slow code and commands, e.g. those of kind ``sh``, without running them.
    """

    def __init__(self, path: Path, *, quick: bool = False) -> None:
        self.path, self.fences, self.quick = path, fences(path), quick
        self.names: dict[str, object] = {}
        self.file = ""
        self.trained = False

    def run(self, fence: Fence) -> None:
        """Run or compare one fence, depending on its kind."""
        if fence.kind or self.path.name not in MADE:
            KINDS[fence.kind](self, fence)


def _console(page: Page, fence: Fence) -> None:
    """Commands, and what they print."""
    for command, wanted in session(fence.text):
        program, *words = shlex.split(command)
        if page.quick and (program, *words[:1]) not in {("sewdsl", name) for name in QUICK}:
            understood(command)
            for option, value in pairwise(words):
                if option == "--out":
                    Path(value).mkdir()  # as the command would
            continue
        page.trained |= (program, *words[:1]) == ("sewdsl", "train")
        printed = _printed(program, words)
        shown = f"{command}\nprinted:\n{printed}\nexpected:\n{wanted}"
        assert agrees(wanted, printed, leeway=LEEWAY if page.trained else 0), shown


def _printed(program: str, words: list[str]) -> str:
    """Return the text of a terminal, in the order in which it is written."""
    screen = io.StringIO()
    streams = contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen)
    with streams[0], streams[1], contextlib.suppress(SystemExit), left_out():  # each command is a process of its own
        if program == "python":
            (script,) = words
            runpy.run_path(script, run_name="__main__")
        else:
            assert program == "sewdsl", program
            app(words)
    # A page shows what is printed when kernels are compiled already.
    return re.sub(r"^Compiling \d+ kernels; cached for next time\n", "", screen.getvalue(), flags=re.MULTILINE)


def _sh(page: Page, fence: Fence) -> None:
    """Commands that take too long, or data, or a terminal: only read."""
    for command in shell(fence.text):
        understood(command)


def _sewdsl(page: Page, fence: Fence) -> None:
    """A file; or what is to be added to the last one before it that has a name."""
    whole = fence.text.startswith("sewdsl ")
    text = fence.text if whole else page.file + fence.text
    if fence.title:
        assert whole, "a file begins with its version"
        page.file = text
        Path(fence.title).write_text(text, encoding="utf-8")
    found = sewdsl.read(Path(fence.title) if fence.title else Source("snippet.net", text))
    assert found.valid, [str(said) for said in found.diagnostics]


def _compact(page: Page, fence: Fence) -> None:
    """Strings as papers print them, each on its line."""
    for line in fence.text.splitlines():
        assert sewdsl.read(line, input="2x128x128").valid, line


def _python(page: Page, fence: Fence) -> None:
    """A session, a program, or with a name a piece of a file that there is."""
    if page.path.name == "CONTRIBUTING.md":
        assert fence.text in EXAMPLES.values(), "tests/project runs those of CONTRIBUTING.md"
    elif page.quick:
        examples = doctest.DocTestParser().get_examples(fence.text)
        compile("".join(example.source for example in examples) or fence.text, page.path.name, "exec")
    elif fence.title:
        assert fence.text in Path(fence.title).read_text(encoding="utf-8")
    elif ">>>" not in fence.text:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(fence.text, page.path.name, "exec"), page.names)  # noqa: S102 -- the page's own code
    else:
        test = doctest.DocTestParser().get_doctest(fence.text, page.names, page.path.name, None, 0)
        said: list[str] = []
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
        runner.run(test, out=said.append, clear_globs=False)
        page.names.update(test.globs)
        assert not said, "".join(said)


def _text(page: Page, fence: Fence) -> None:
    """Return an output as it is shown in a console of a page."""
    shown = "".join(other.text for other in page.fences if other.kind == "console")
    for line in fence.text.splitlines():
        assert line in shown, line


def _lua(page: Page, fence: Fence) -> None:
    assert all(token is not Error for token, _ in LuaLexer().get_tokens(fence.text))


def _c(_page: Page, fence: Fence) -> None:
    """Check calls of the interface of generated files."""
    interface = read_template("interface.h")
    names = set(re.findall(r"\bnet_\w+", fence.text))
    assert names
    assert all(name in interface for name in names), names


def _yaml(page: Page, fence: Fence) -> None:
    """A file of another program; the commands that it runs are there."""
    for command in _run_by(yaml.safe_load(fence.text)):
        understood(command)


def _run_by(value: object) -> Iterator[str]:
    """The lines of every ``run``, at any depth."""
    if isinstance(value, dict):
        yield from value["run"].splitlines() if "run" in value else ()
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _run_by(inner)


KINDS: dict[str, Callable[[Page, Fence], object]] = {
    "console": _console,
    "sh": _sh,
    "sewdsl": _sewdsl,
    "sewdsl-compact": _compact,
    "python": _python,
    "text": _text,
    "json": lambda _, fence: json.loads(fence.text),
    "toml": lambda _, fence: tomllib.loads(fence.text),
    "c": _c,
    "lua": _lua,
    "yaml": _yaml,
}


@pytest.mark.parametrize(
    ("path", "quick"),
    [
        *(pytest.param(path, False, id=path.name, marks=[pytest.mark.deep] * (path.name in SLOW)) for path in PAGES),
        *(pytest.param(path, True, id=f"{path.name}, quick") for path in PAGES if path.name in SLOW),
    ],
)
def test_page(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, quick: bool) -> None:
    """In one folder, in order: a file that is shown or made is there for what comes after it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    if not quick:
        GIVEN.get(path.name, lambda: None)()
    page = Page(path, quick=quick)
    for fence in page.fences:
        try:
            page.run(fence)
        except Exception as error:
            error.add_note(f"in {path.relative_to(ROOT)}, line {fence.line}")
            raise
