"""Comparison of the examples in the documentation with their outputs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.commands import understood
from tests.docs.fences import agrees, fences, session, shell
from tests.docs.test_snippets import Page


@pytest.mark.parametrize(
    ("shown", "printed", "leeway", "agree"),
    [
        ("a 1\n b", "a 1  \n b\n", 0, True),
        ("a 1\n b", "a 1\nb", 0, False),
        ("a ... c", "a b\nb c", 0, True),
        ("a ...", "b a", 0, False),
        ("1,000 of 2", "1,001 of 2", 0, False),
        ("1,000 of 2.0e-3", "1,100 of 2.1e-3", 0.1, True),
        ("1,000 of 2.0e-3", "1,100 of 3e-3", 0.1, False),
        ("rate  10.0%", "rate 9.5%", 0.1, True),
        ("rate 10.0%", "share 10.0%", 0.1, False),
        ("...\nepoch 2/2 9.5%", "epoch 1/2 5.0%\nepoch 2/2 9.6%", 0.1, True),
    ],
)
def test_what_agrees(shown: str, printed: str, leeway: float, agree: bool) -> None:  # noqa: FBT001 -- a table
    assert agrees(shown, printed, leeway=leeway) == agree


@pytest.mark.parametrize(
    "command",
    [
        "sewdsl check 7b-net --set steps=8",
        "sewdsl probe rates RUN --best",
        "X=1 torchrun --nproc-per-node 2 -m sewdsl train mnist5k --devices 2",
        "python -m benchmarks CASE --rounds 3",
        "pip install -e '.[dev]'",
        "cd editors/vscode",
    ],
)
def test_commands_that_there_are(command: str) -> None:
    understood(command)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sewdsl chekc 7b-net", "chekc"),
        ("sewdsl check 7b-net --setting steps=8", "--setting"),
        ("sewdsl check 7b-net --set step=8", "7b-net"),
        ("sewdsl check 7b-nett", "7b-nett"),
        ("sewdsl export 7b-net", "OUT is required"),
        ("sewdsl train mnist5k --devices none", "integer"),
        ("torchrun -m sewdsl trian mnist5k", "trian"),
        ("python -m bench", "bench"),
        ("pip install 'sewdsl[everything]'", "everything"),
        ("cd editors/emacs", "emacs"),
        ("conda install sewdsl", "conda"),
    ],
)
def test_commands_that_there_are_not(command: str, said: str) -> None:
    with pytest.raises(Exception, match=re.escape(said)):
        understood(command)


@pytest.mark.parametrize(
    "text",
    [
        "```\nc8k3\n```\n",
        "```bash\nls\n```\n",
        "    indented\n",
        "```sewdsl\nsewdsl 1\nbody c8k3\n```\n",
        "```sewdsl-compact\nc8k3-BNPLIF\n```\n",
        "```console\n$ sewdsl nets tiny\nsewdsl 2\n...\n```\n",
        "```text\nsaid nowhere else\n```\n",
        "```toml\n[a\n```\n",
        "```python\n>>> 1 + 1\n3\n```\n",
        '```python title="net.py"\nimport torch\n```\n',
        "```python raw\n1\n```\n",
    ],
)
def test_fences_that_do_not_hold(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.md").write_text(text, encoding="utf-8")
    (tmp_path / "net.py").write_text("import os\n", encoding="utf-8")
    page = Page(tmp_path / "page.md")
    (fence,) = page.fences

    def run(*_: Any) -> None:
        page.run(fence)

    with pytest.raises((AssertionError, KeyError, ValueError)):
        run()


def test_what_is_in_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text('a\n\n- ```sewdsl title="a.net"\n  sewdsl 1\n  ```\n', encoding="utf-8")
    assert fences(page) == [("sewdsl", "a.net", 3, "sewdsl 1\n")]
    assert shell("a \\\n  b && c\n# d\n") == ["a    b", "c"]
    assert session("$ a\nb\n$ c\n") == [("a", "b\n"), ("c", "")]


def test_what_a_command_needs_is_installed_before_it_in_the_readme() -> None:
    """A command of an extra follows a line that installs the extra."""
    needed = {r"^sewdsl serve": "serve", r"^sewdsl lsp": "lsp", r"^sewdsl export .*\.(onnx|nir)": "exchange"}
    needed[r"^sewdsl import .*\.nir"] = "exchange"
    installed: set[str] = set()
    found: set[str] = set()
    for line in (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").splitlines():
        for extras in re.findall(r"pip install (?:-e )?'\.\[([\w,]+)\]'", line):
            # The second line of the installation is for developers.
            installed |= {*extras.split(",")} - {"dev"}
        for pattern, extra in needed.items():
            if re.match(pattern, line):
                found.add(extra)
                assert extra in installed, line
    assert found == {"serve", "exchange"}
